"""Filling rows: memory for a large text, and the draw of pairs with equal lengths."""

import tracemalloc

import numpy as np
import pytest

from transformer_jax.data import row_filling
from transformer_jax.data.corpus import SentenceLengths
from transformer_jax.data.packing import PackedRows, pack_pairs
from transformer_jax.data.permutations import EpochPermutations


def lengths(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A text with a few pairs to a row of 64, and some that are too long."""
    drawn = 1 + np.random.default_rng(seed).gamma(4.0, 3.0, (2, number)).astype(int)
    return drawn[0], np.maximum(drawn[1], drawn[0] // 2)


def mapped(sides: tuple[np.ndarray, np.ndarray]) -> list[SentenceLengths]:
    return [SentenceLengths(np.concatenate([[0], np.cumsum(side)])) for side in sides]


def pack_small_blocks(monkeypatch, sides, *, block, places, length=64) -> PackedRows:
    monkeypatch.setattr(row_filling, "_BLOCK_PAIRS", block)
    monkeypatch.setattr(row_filling, "_PLACES_AT_ONCE", places)
    return pack_pairs(*sides, length, length)


def test_a_pair_takes_at_most_eight_bytes(monkeypatch):
    """Anonymous memory at its peak; lengths come from a corpus that is mapped."""
    peaks = []
    for number in (100, 150_000, 450_000):  # The first imports what is needed.
        sides = mapped(np.random.default_rng(0).integers(1, 9, (2, number)))
        tracemalloc.start()
        packed = pack_small_blocks(
            monkeypatch, sides, length=32, block=1 << 12, places=1 << 12
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert packed.num_rows > number / 8
    assert peaks[2] - peaks[1] <= 8 * 300_000


@pytest.mark.parametrize(("block", "places"), [(90, 1), (7, 200), (1_000, 7)])
def test_blocks_do_not_show(monkeypatch, block, places):
    sides = lengths(400)
    expected = pack_pairs(*sides, 64, 64)
    monkeypatch.setattr(row_filling, "_MOST_ROUNDS", 10_000)
    found = pack_small_blocks(monkeypatch, mapped(sides), block=block, places=places)
    for field in ("pairs", "offsets", "too_long"):
        assert np.array_equal(getattr(found, field), getattr(expected, field))


def test_pairs_of_equal_lengths_meet_at_random():
    """Two to a row of 1,000: a pair and its neighbour in the text meet once, or so."""
    packed = pack_pairs([5] * 1_000, [5] * 1_000, 10, 10, seed=3)
    rows = np.sort(packed.pairs.reshape(500, 2), axis=1)
    assert np.count_nonzero(rows[:, 1] - rows[:, 0] == 1) < 10
    assert abs(np.corrcoef(rows[:, 0], np.arange(500))[0, 1]) < 0.2


def test_corpora_follow_each_other_as_if_packed_alone():
    sides = lengths(600)
    whole = pack_pairs(*sides, 64, 64, corpus_sizes=(100, 400, 100))
    pairs, offsets = [], [0]
    for begin, end in ((0, 100), (100, 500), (500, 600)):
        own = pack_pairs(*(side[begin:end] for side in sides), 64, 64)
        pairs += [int(pair) + begin for pair in own.pairs]
        offsets += (own.offsets[1:] + len(pairs) - len(own.pairs)).tolist()
    assert whole.pairs.tolist() == pairs
    assert whole.offsets.tolist() == offsets
    assert sum(whole.corpus_rows) == whole.num_rows


@pytest.mark.parametrize("part", [slice(None), slice(2, 5), slice(4, 2), slice(-3, 99)])
def test_lengths_are_those_of_the_places(part):
    sides = lengths(9)
    assert mapped(sides)[0][part].tolist() == sides[0][part].tolist()


@pytest.mark.parametrize("stream", [(), (2,)])
def test_permutations_are_those_of_numpy(stream):
    order = EpochPermutations(1_001, 7, *stream)
    for epoch in (0, 1, 10**9, 1):
        bits = np.random.Generator(np.random.PCG64([7, epoch, *stream]))
        assert np.array_equal(order(epoch), bits.permutation(1_001))
    assert order.num_drawn == 3, "the last two are kept"
    assert order(0).dtype == np.int32
