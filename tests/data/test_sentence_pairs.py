"""Sentence pairs by index, of files and lists."""

from pathlib import Path

import pytest
from test_source import PAIRS, write_pairs

from transformer_jax.data.sentence_pairs import from_files, from_list
from transformer_jax.errors import InputError

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"


@pytest.fixture
def files(tmp_path):
    return write_pairs(tmp_path)


@pytest.mark.parametrize("kind", ["list", "files"])
def test_pairs_read_alike_by_index_range_and_iteration(kind, files):
    pairs = from_list(PAIRS) if kind == "list" else from_files(*files)
    assert len(pairs) == 4
    assert list(pairs) == PAIRS
    assert [pairs[index] for index in range(4)] == PAIRS
    assert pairs[-1] == PAIRS[-1]
    assert pairs.read(1, 3) == PAIRS[1:3]
    assert pairs.read(2, 2) == []
    for index in (4, -5):
        with pytest.raises(IndexError):
            pairs[index]


def test_iteration_crosses_blocks(monkeypatch):
    monkeypatch.setattr("transformer_jax.data.sentence_pairs._PAIRS_PER_READ", 3)
    assert list(from_list(PAIRS)) == PAIRS


@pytest.mark.parametrize("bad", ["ab", ("a",), ("a", 1), ("a", "b", "c"), None])
def test_a_list_of_other_than_pairs_is_refused(bad):
    with pytest.raises(InputError, match="pair 1 of the given pairs"):
        from_list([("a", "b"), bad])


@pytest.mark.parametrize(
    ("source", "target", "num_pairs"),
    [
        ("multi30k/train.en", "multi30k/train.de", 29_000),
        ("tatoeba_en_de/train.en", "tatoeba_en_de/train.de", 163_422),
        ("canada_laws_en_fr/dev.en", "canada_laws_en_fr/dev.fr", None),
    ],
)
def test_real_corpora_are_read_as_python_reads_them(source, target, num_pairs):
    paths = SHARED_DATA / source, SHARED_DATA / target
    if not all(path.exists() for path in paths):
        pytest.skip(f"{source} is not in {SHARED_DATA}")
    pairs = from_files(*paths)
    expected = [
        path.read_bytes().decode().removesuffix("\n").split("\n") for path in paths
    ]
    assert list(pairs) == list(zip(*expected, strict=True))
    assert num_pairs is None or len(pairs) == num_pairs
