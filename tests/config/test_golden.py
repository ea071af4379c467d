"""The whole resolved form of each configuration, so that a changed default shows.

After a change that is meant, renew the files and look at their diff::

    python tests/config/test_golden.py
"""

import json
from pathlib import Path

import pytest

from transformer_jax.config.reading import config_to_dict, load_config
from transformer_jax.model.size import parameter_counts

ROOT = Path(__file__).resolve().parents[2]
# Those of Table 3 are held to the paper's table, see `test_table_3`.
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
GOLDEN = ROOT / "tests" / "golden"


def golden_path(path: Path) -> Path:
    """Returns the golden file of a configuration."""
    return (GOLDEN / path.relative_to(ROOT / "configs")).with_suffix(".json")


def resolved(path: Path) -> str:
    """Returns every setting of a configuration and its number of parameters."""
    config = load_config(path)
    contents = {
        "num_parameters": sum(parameter_counts(config.model).values()),
        **config_to_dict(config),
    }
    return json.dumps(contents, indent=2) + "\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_configuration_is_what_its_golden_file_says(path):
    assert golden_path(path).exists(), "run: python tests/config/test_golden.py"
    found, expected = (
        json.loads(resolved(path)),
        json.loads(golden_path(path).read_text()),
    )
    assert found == expected, (
        "if this is meant, run: python tests/config/test_golden.py"
    )


def test_no_golden_file_is_left_over():
    assert sorted(GOLDEN.glob("*.json")) == sorted(map(golden_path, CONFIGS))


if __name__ == "__main__":
    for path in CONFIGS:
        golden_path(path).parent.mkdir(parents=True, exist_ok=True)
        golden_path(path).write_text(resolved(path))
