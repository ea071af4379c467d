"""The sentence pairs that the settings name."""

import gzip
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


SEVERAL = {"a": ["one", "two"], "b.gz": ["three"], "c": ["", "five", "six"]}


@pytest.fixture
def several(tmp_path):
    """Returns the paths of both sides, and the pairs of all files in their order."""
    paths: dict[str, list[str]] = {"source": [], "target": []}
    for name, lines in SEVERAL.items():
        for side, found in paths.items():
            path = tmp_path / f"{side}-{name}"
            text = "".join(f"{side} {line}\n" for line in lines).encode()
            path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
            found.append(str(path))
    lines = [line for part in SEVERAL.values() for line in part]
    return *paths.values(), [(f"source {line}", f"target {line}") for line in lines]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_several_files_are_paired_in_order(several, split):
    sources, targets, expected = several
    config = DataConfig(
        **{f"{split}_source_path": sources, f"{split}_target_path": targets}
    )
    pairs = load_pairs(config, split)
    assert list(pairs) == expected
    assert [pairs[i] for i in range(len(pairs))] == expected
    for start in range(len(pairs) + 1):
        for stop in range(start, len(pairs) + 1):
            assert pairs.read(start, stop) == expected[start:stop]
    assert [list(map(str, side)) for side in pairs.files] == [sources, targets]
    # What runs compare: the text, however many files it is in.
    assert pairs.digest() == from_list(expected).digest()
    assert "2 more" in pairs.name


def test_the_order_of_files_is_of_the_text(several):
    sources, targets, _ = several
    turned = from_files(sources[::-1], targets[::-1])
    assert turned.digest() != from_files(sources, targets).digest()


def test_lines_are_counted_in_each_pair_of_files(several):
    """As many lines on both sides, but not file by file."""
    sources, targets, _ = several
    for name, text in (sources[0], "one\ntwo\nthree\n"), (sources[2], "one\ntwo\n"):
        Path(name).write_text(text)
    config = DataConfig(train_source_path=sources, train_target_path=targets)
    expect_error(
        config, "train", f"{sources[0]} has 3", f"{targets[0]} has 2", "data.train_"
    )


@pytest.mark.parametrize("which", ["a", "b.gz", "c"])
def test_an_empty_file_among_several_is_refused(several, which):
    sources, targets, _ = several
    index = [*SEVERAL].index(which)
    for side in (sources, targets):
        Path(side[index]).write_bytes(gzip.compress(b"") if "gz" in which else b"")
    config = DataConfig(train_source_path=sources, train_target_path=targets)
    expect_error(config, "train", sources[index], targets[index], "empty")


def test_empty_and_absent_pairs_are_refused(tmp_path, files):
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(InputError, match="empty"):
        from_files(empty, empty)
    with pytest.raises(InputError, match="at least one"):
        from_list([])
    expect_error(DataConfig(), "train", "data.dataset", "data.train_source_path")
