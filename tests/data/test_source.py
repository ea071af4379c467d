"""The sentence pairs that the settings name."""

from pathlib import Path

import pytest

from transformer_jax.config.experiment import DataConfig
from transformer_jax.data.sentence_pairs import from_files, from_list
from transformer_jax.data.source import load_pairs
from transformer_jax.errors import InputError

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"
PAIRS = [("one", "eins"), ("", "leer"), ("three", "drei"), ("four", "")]


def write_pairs(folder):
    """Writes PAIRS into two files; returns their paths."""
    paths = folder / "text.en", folder / "text.de"
    for path, lines in zip(paths, zip(*PAIRS, strict=True), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return tuple(map(str, paths))


@pytest.fixture
def files(tmp_path):
    return write_pairs(tmp_path)


def expect_error(config, split, *parts):
    with pytest.raises(InputError) as caught:
        load_pairs(config, split)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_load_pairs_takes_the_files_of_each_split(files):
    config = DataConfig(train_source_path=files[0], train_target_path=files[1])
    pairs = load_pairs(config, "train")
    assert list(pairs) == PAIRS
    assert files[0] in pairs.name
    assert load_pairs(config, "validation") is None
    assert load_pairs(config, "test") is None


def test_files_of_different_length_are_refused(files):
    with Path(files[1]).open("a") as file:
        file.write("five\n")
    config = DataConfig(test_source_path=files[0], test_target_path=files[1])
    expect_error(
        config,
        "test",
        f"{files[0]} has 4",
        f"{files[1]} has 5",
        "data.test_source_path",
    )


def test_empty_and_absent_pairs_are_refused(tmp_path, files):
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(InputError, match="empty"):
        from_files(empty, empty)
    with pytest.raises(InputError, match="at least one"):
        from_list([])
    expect_error(DataConfig(), "train", "data.dataset", "data.train_source_path")
