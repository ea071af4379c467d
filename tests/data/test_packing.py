"""Packed rows hold each pair once, within their capacity, and hardly any padding."""

from pathlib import Path

import numpy as np
import pytest

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.packing import (
    balanced_lengths,
    fill_of,
    highest_fill,
    one_pair_a_row,
    pack_pairs,
)
from transformer_jax.data.sentence_pairs import from_files
from transformer_jax.storage.text_lines import TextLines
from transformer_jax.tokenizer.tokenizer import train_tokenizer

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def random_lengths(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lengths as real pairs have them: skewed, the two sides alike but not equal."""
    number = int(rng.integers(1, 3_000))
    sources = 1 + rng.gamma(2.0, rng.uniform(0.5, 20.0), number).astype(int)
    targets = 1 + (sources * rng.uniform(0.3, 2.5, number)).astype(int)
    return sources, targets


def row_sums(packed, lengths) -> np.ndarray:
    assert np.all(np.diff(packed.offsets) > 0), "a row is empty"
    return np.add.reduceat(lengths[packed.pairs], packed.offsets[:-1])


@pytest.mark.parametrize("seed", range(40))
def test_each_pair_once_and_no_row_overfull(seed):
    rng = np.random.default_rng(seed)
    sources, targets = random_lengths(rng)
    room = rng.integers(2, 300, 2)
    packed = pack_pairs(sources, targets, *room, seed=seed)
    every = np.concatenate([packed.pairs, packed.too_long])
    assert np.array_equal(np.sort(every), np.arange(len(sources)))
    long = (sources > room[0]) | (targets > room[1])
    assert np.array_equal(packed.too_long, np.flatnonzero(long))
    assert packed.offsets[0] == 0
    assert packed.offsets[-1] == len(packed.pairs)
    if packed.num_rows:
        assert row_sums(packed, sources).max() <= room[0]
        assert row_sums(packed, targets).max() <= room[1]


def test_a_pair_that_fills_a_row_has_it_alone():
    packed = pack_pairs([8, 3, 1, 8], [2, 9, 1, 9], 8, 9)
    assert packed.num_rows == 4
    assert len(packed.too_long) == 0


def test_finds_the_perfect_packing():
    # 6 + 4 and 7 + 3 on the source side; each alone would need a row of its own.
    packed = pack_pairs([6, 7, 3, 4] * 50, [5] * 200, 10, 10)
    assert packed.num_rows == 100


def test_the_second_dimension_counts():
    # The sources would all fit into one row, the targets only two by two.
    packed = pack_pairs([1] * 10, [50] * 10, 100, 100)
    assert packed.num_rows == 5


@pytest.fixture(scope="module")
def multi30k() -> tuple[np.ndarray, np.ndarray]:
    """Lengths in 8,000 shared subwords."""
    texts = [SHARED / "multi30k" / f"train.{language}" for language in ("en", "de")]
    if not texts[0].exists():
        pytest.skip(f"Multi30k is not here: {texts[0]}")
    pairs = from_files(*texts)
    tokenizer = train_tokenizer(pairs, TokenizerConfig(), ModelConfig(vocab_size=8_000))
    sides = zip(*pairs, strict=True)
    encoded = [tokenizer.encode_source(list(side)) for side in sides]
    return tuple(np.array([len(ids) for ids in side]) for side in encoded)


@pytest.fixture(scope="module")
def canada_laws() -> tuple[np.ndarray, np.ndarray]:
    """Lengths of 438,688 long sentences, a token for every 4 letters and the end."""
    folder = SHARED / "canada_laws_en_fr"
    if not folder.exists():
        pytest.skip(f"the Canadian laws are not here: {folder}")
    files = [TextLines(folder / f"train.{language}.gz") for language in ("en", "fr")]
    return tuple(
        1 + np.array([len(line) // 4 for line in file.read(0, len(file))])
        for file in files
    )


@pytest.mark.parametrize("room", [64, 128, 256])
def test_fill_of_multi30k(multi30k, room):
    packed = pack_pairs(*multi30k, room, room)
    assert fill_of(packed, *multi30k).both >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("room", [128, 256])
def test_fill_of_the_laws_in_rows_of_their_proportion(canada_laws, room):
    lengths = balanced_lengths(*map(np.sum, canada_laws), room)
    assert lengths[0] < lengths[1] == room
    assert fill_of(pack_pairs(*canada_laws, *lengths), *canada_laws).both >= 0.975


@pytest.mark.parametrize("scale", [(1, 1), (3, 4), (4, 3)])
def test_balanced_lengths_have_the_proportion_of_the_text(scale):
    rng = np.random.default_rng(0)
    base = 1 + rng.gamma(2.0, 3.0, 2_000).astype(int)
    sides = base * scale[0], base * scale[1]
    expected = tuple(96 * side // max(scale) for side in scale)
    assert balanced_lengths(*map(np.sum, sides), 96) == expected
    fills = [
        fill_of(pack_pairs(*sides, *room), *sides).both for room in (expected, (96, 96))
    ]
    assert fills[0] > 0.95
    assert highest_fill(*map(np.sum, sides), *expected) == pytest.approx(1.0)
    assert (
        fills[1]
        <= highest_fill(*map(np.sum, sides), 96, 96)
        == pytest.approx(sum(scale) / (2 * max(scale)))
    )


@pytest.mark.parametrize(
    ("sides", "longest", "expected"),
    [((1, 100), 64, (8, 64)), ((9, 9), 30, (30, 30)), ((0, 0), 30, (30, 8))],
)
def test_balanced_lengths_at_the_ends(sides, longest, expected):
    assert balanced_lengths(*sides, longest) == expected


def test_fill_counts_places_of_all_rows():
    packed = pack_pairs([3, 2, 2], [4, 9, 1], 5, 8)
    assert packed.too_long.tolist() == [1]
    assert fill_of(packed, [3, 2, 2], [4, 9, 1]) == (1.0, 5 / 8, 10 / 13)


def test_a_million_pairs_fill_their_rows():
    rng = np.random.default_rng(0)
    sources = np.minimum(1 + rng.gamma(2.0, 15.0, 1_000_000).astype(int), 256)
    targets = np.clip(
        (sources * rng.normal(1.1, 0.2, len(sources))).astype(int), 1, 256
    )
    packed = pack_pairs(sources, targets, 256, 256)
    assert fill_of(packed, sources, targets).target > 0.99


def test_same_rows_every_time_and_others_for_another_seed():
    lengths = random_lengths(np.random.default_rng(3))
    first, again, other = (pack_pairs(*lengths, 90, 90, seed=s) for s in (5, 5, 6))
    assert np.array_equal(first.pairs, again.pairs)
    assert np.array_equal(first.offsets, again.offsets)
    assert not np.array_equal(first.pairs, other.pairs)
    assert np.array_equal(first.offsets, other.offsets)


@pytest.mark.parametrize("lengths", [[], [9, 9]])
def test_nothing_fits(lengths):
    packed = pack_pairs(lengths, lengths, 8, 8)
    assert packed.num_rows == 0
    assert packed.too_long.tolist() == list(range(len(lengths)))


def test_one_pair_a_row():
    packed = one_pair_a_row(3, 8, 9)
    assert packed.pairs.tolist() == [0, 1, 2]
    assert packed.offsets.tolist() == [0, 1, 2, 3]
