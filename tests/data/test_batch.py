"""A batch holds exactly the sentences of its rows, each counted from 0."""

import numpy as np
import pytest

from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.packing import PackedRows, one_pair_a_row, pack_pairs

PAD, BOS, EOS = 7, 8, 9  # Not 0, 1, 2: nothing may assume those.
EMPTY = np.zeros(0, np.int64)


def random_corpus(seed: int, number: int = 200) -> Corpus:
    rng = np.random.default_rng(seed)

    def sentence() -> list[int]:
        return [*rng.integers(10, 5_000, rng.integers(0, 18)).tolist(), EOS]

    sides = [[sentence() for _ in range(number)] for _ in range(2)]
    return make_corpus(*sides, bos_id=BOS, pad_id=PAD)


def pairs_of(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
    """Source, decoder input and label of each segment, by the definition."""
    found = []
    for row in range(len(batch.source)):
        for segment in range(1, batch.source_segments[row].max() + 1):
            at_source = batch.source_segments[row] == segment
            at_target = batch.target_segments[row] == segment
            found.append(
                (
                    batch.source[row][at_source].tolist(),
                    batch.target_inputs[row][at_target].tolist(),
                    batch.target_labels[row][at_target].tolist(),
                )
            )
    return found


def test_a_row_by_hand():
    corpus = make_corpus(
        [[11, 12, EOS], [13, EOS]], [[21, EOS], [22, 23, EOS]], bos_id=BOS, pad_id=PAD
    )
    packed = PackedRows(np.array([1, 0]), np.array([0, 2]), 6, 7, EMPTY)
    batch = make_batch(corpus, packed, np.array([0]), num_rows=2)
    expected = Batch(
        source=[13, EOS, 11, 12, EOS, PAD],
        source_positions=[0, 1, 0, 1, 2, 0],
        source_segments=[1, 1, 2, 2, 2, 0],
        target_inputs=[BOS, 22, 23, BOS, 21, PAD, PAD],
        target_labels=[22, 23, EOS, 21, EOS, PAD, PAD],
        target_positions=[0, 1, 2, 0, 1, 0, 0],
        target_segments=[1, 1, 1, 2, 2, 0, 0],
    )
    assert batch.corpus.tolist() == [0, 0]
    fields = Batch._fields[:-1], batch[:-1], expected[:-1]
    for name, got, row in zip(*fields, strict=True):
        blank = [0 if "pos" in name or "seg" in name else PAD] * len(row)
        assert got.tolist() == [row, blank], name
        assert got.dtype == np.int32


@pytest.mark.parametrize("seed", range(5))
def test_unpacking_gives_back_the_sentences(seed):
    corpus = random_corpus(seed)
    packed = pack_pairs(corpus.source_lengths, corpus.target_lengths, 40, 44)
    rows = np.random.default_rng(seed).permutation(packed.num_rows)
    batch = make_batch(corpus, packed, rows)
    order = [
        pair
        for row in rows
        for pair in packed.pairs[packed.offsets[row] : packed.offsets[row + 1]]
    ]
    expected = [
        (
            corpus.source[pair].tolist(),
            [BOS, *corpus.target[pair][:-1].tolist()],
            corpus.target[pair].tolist(),
        )
        for pair in order
    ]
    assert pairs_of(batch) == expected


def test_positions_count_from_0_in_each_segment():
    corpus = random_corpus(0)
    packed = pack_pairs(corpus.source_lengths, corpus.target_lengths, 40, 44)
    batch = make_batch(corpus, packed, np.arange(packed.num_rows))
    for positions, segments in (
        (batch.source_positions, batch.source_segments),
        (batch.target_positions, batch.target_segments),
    ):
        for row in range(packed.num_rows):
            for segment in range(1, segments[row].max() + 1):
                counted = positions[row][segments[row] == segment]
                assert counted.tolist() == list(range(len(counted)))
        # Segments ascend by one, and padding is at the end only.
        steps = np.diff(segments, axis=1)
        assert ((steps == 0) | (steps == 1) | (segments[:, 1:] == 0)).all()
        assert not (positions[segments == 0]).any()


def test_no_rows_are_all_padding():
    corpus = random_corpus(0)
    packed = pack_pairs(corpus.source_lengths, corpus.target_lengths, 40, 44)
    batch = make_batch(corpus, packed, EMPTY, num_rows=3)
    assert batch.source.shape == (3, 40)
    assert batch.target_labels.shape == (3, 44)
    assert (batch.target_inputs == PAD).all()
    assert not batch.target_segments.any()


def test_unpacked_has_one_pair_a_row():
    sources, targets = [[11, EOS], [12, 13, EOS]], [[21, 22, EOS], [EOS]]
    corpus = make_corpus(sources, targets, bos_id=BOS, pad_id=PAD)
    batch = make_batch(corpus, one_pair_a_row(2, 4, 3), np.arange(2), num_rows=3)
    assert batch.source.tolist() == [
        [11, EOS, PAD, PAD], [12, 13, EOS, PAD], [PAD] * 4,
    ]  # fmt: skip
    assert batch.target_inputs.tolist() == [
        [BOS, 21, 22], [BOS, PAD, PAD], [PAD] * 3,
    ]  # fmt: skip
    assert batch.target_segments.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
