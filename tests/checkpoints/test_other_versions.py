"""A model of each released version is kept, and read by every later one.

`tests/data/version_0.1.0` was trained by that version for 150 updates on
`reversed_pairs(200)`; `expected.json` holds what it translated then.
"""

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs

from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.training.train import train
from transformer_jax.translation.translator import Translator

KEPT = sorted((Path(__file__).parents[1] / "data").glob("version_*"))
each_version = pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)


@each_version
def test_it_translates_as_it_did(kept):
    expected = json.loads((kept / "expected.json").read_text())
    translator = Translator.from_checkpoint(kept)
    found = translator.n_best([line["source"] for line in expected], 1)
    for (best,), line in zip(found, expected, strict=True):
        assert best.text == line["translation"]
        assert best.score == pytest.approx(line["score"], abs=1e-4)


@pytest.mark.slow
@each_version
def test_it_is_whole_and_can_be_trained_further(kept, tmp_path):
    workdir = shutil.copytree(kept, tmp_path / "run")
    stored = StoredCheckpoints(workdir)
    (step,) = stored.steps
    stored.verify(step)
    config = stored.config(step)
    config = config.replace(
        training=type(config.training)(
            **{**vars(config.training), "num_steps": step + 2, "log_every_steps": 1}
        )
    )
    result = train(config, workdir, train_pairs=reversed_pairs(200), progress=False)
    assert int(result.state.step) == step + 2
    # A model that was not read would be as bad as one that has learnt nothing: 5.7.
    assert result.history[-1]["loss"] < 3.5


def test_the_version_of_now_is_among_them():
    from transformer_jax.version import VERSION

    assert f"version_{VERSION}" in [path.name for path in KEPT]
