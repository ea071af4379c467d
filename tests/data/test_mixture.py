"""Several corpora: shares, epochs of each, rows as a function of (corpora, seed, k)."""

import dataclasses
import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from test_pipeline import config, each_host, numbered_corpus, pairs_in, same, take

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.mixture import Mixture, _multiply, make_mixture
from transformer_jax.data.pipeline import RowOrder, make_batches, pack_corpus

SIZES = (200, 40, 60)
WEIGHTS = (1.0, 2.0, 0.5)

MIXTURES = {
    "thirds": Mixture((3, 5, 7), (1.0, 1.0, 1.0)),
    "three to one": Mixture((50, 50), (3.0, 1.0)),
    "uneven": Mixture((9, 2, 100, 1), (0.3, 0.013, 0.6, 0.2)),
    "irrational": Mixture((1000, 10), (2**0.5, np.pi)),
}
each_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)


@pytest.fixture(scope="module")
def corpus():
    """Pairs 0 to 199 are of the first corpus, 200 to 239 of the second, and so on."""
    return dataclasses.replace(numbered_corpus(), corpus_sizes=SIZES)


def settings(weights=WEIGHTS, **changes):
    corpora = tuple(CorpusConfig(weight=weight) for weight in weights)
    return config(corpora=corpora, **changes)


@each_mixture
def test_any_stretch_of_rows_has_the_shares(mixture):
    corpora, _ = mixture.locate(np.arange(5_000))
    for start, stop in ((0, 5_000), (1_234, 1_334), (4_000, 4_016)):
        for corpus, share in enumerate(mixture.shares):
            count = np.count_nonzero(corpora[start:stop] == corpus)
            # Each corpus before it may move it by a row.
            assert abs(count - share * (stop - start)) <= 1 + corpus


@each_mixture
@pytest.mark.parametrize("start", [0, 77, 10**13])
def test_each_corpus_goes_on_with_its_next_row(mixture, start):
    corpora, indices = mixture.locate(np.arange(start, start + 3_000))
    before, after = mixture.rows_before(start), mixture.rows_before(start + 3_000)
    assert (sum(before), sum(after)) == (start, start + 3_000)
    for corpus, (first, last) in enumerate(zip(before, after, strict=True)):
        assert indices[corpora == corpus].tolist() == list(range(first, last))


@each_mixture
def test_shares_stay_exact_after_very_many_rows(mixture):
    for rows, share in zip(mixture.rows_before(10**13), mixture.shares, strict=True):
        assert rows / 10**13 == pytest.approx(share, rel=2e-4, abs=1e-6)


def test_products_are_those_of_whole_numbers():
    rng = np.random.default_rng(0)
    for share in (Fraction(1, 1 << 20), Fraction(12_345, 1_048_573), Fraction(2, 3)):
        places = rng.integers(0, 1 << 61, 50)
        expected = [
            int(place) * share.numerator // share.denominator for place in places
        ]
        assert _multiply(places, share).tolist() == expected


def test_nothing_of_a_corpus_is_lost_when_another_is_shorter(corpus):
    """Every corpus is used whole in each of its own epochs, in another order."""
    single = settings(rows=1)
    packed = pack_corpus(corpus, single, seed=0)
    mixture = make_mixture(packed, single)
    order = RowOrder(packed.num_rows, 1, 5, mixture=mixture)
    rows = np.concatenate([order.rows_of(k) for k in range(12 * packed.num_rows)])
    first = 0
    for corpus_number, number in enumerate(packed.corpus_rows):
        own = rows[packed.corpus_of(rows) == corpus_number]
        epochs = [own[i : i + number] for i in range(0, len(own) - number, number)]
        assert len(epochs) >= 2
        for epoch in epochs:
            assert sorted(epoch) == list(range(first, first + number))
        assert not np.array_equal(epochs[0], epochs[1])
        first += number
    assert order.corpus_epochs(len(rows)) == [
        n / m for n, m in zip(np.bincount(packed.corpus_of(rows)), packed.corpus_rows,
                              strict=True)
    ]  # fmt: skip


def test_a_row_has_pairs_of_one_corpus_and_all_pairs_are_packed(corpus):
    packed = pack_corpus(corpus, settings(), seed=0)
    starts = np.cumsum([0, *SIZES])
    found = Counter()
    for row in range(packed.num_rows):
        pairs = packed.pairs[packed.offsets[row] : packed.offsets[row + 1]]
        places = set(np.searchsorted(starts, pairs, side="right") - 1)
        assert places == {packed.corpus_of(np.array([row]))[0]}
        found.update(pairs.tolist())
    assert found == Counter(range(300))
    assert sum(packed.corpus_rows) == packed.num_rows


def test_pairs_too_long_for_a_row_are_named_by_their_place_in_the_whole(corpus):
    packed = pack_corpus(corpus, settings(length=9), seed=0)
    lengths = np.maximum(corpus.source_lengths, corpus.target_lengths)
    assert packed.too_long.tolist() == np.flatnonzero(lengths > 9).tolist()


def test_batches_say_the_corpus_of_each_row(corpus):
    packed = pack_corpus(corpus, settings(), seed=0)
    starts = np.cumsum([0, *SIZES])
    for batch in take(make_batches(corpus, packed, settings(), seed=4), 20):
        assert (batch.corpus.shape, batch.corpus.dtype) == ((8,), np.int32)
        for row, place in enumerate(batch.corpus):
            one = Batch(*(field[row : row + 1] for field in batch))
            assert all(starts[place] <= p < starts[place + 1] for p in pairs_in(one))


def test_starting_at_k_is_skipping_k(corpus):
    packed = pack_corpus(corpus, settings(), seed=0)
    skipped = take(make_batches(corpus, packed, settings(), seed=4), 40)[25:]
    started = take(
        make_batches(corpus, packed, settings(), seed=4, start_step=25), len(skipped)
    )
    assert all(map(same, skipped, started))
    late = make_batches(corpus, packed, settings(), seed=4, start_step=10**12)
    assert next(late).source.shape == (8, 24)


@each_host
def test_hosts_take_their_rows_of_the_same_global_batch(corpus, rows_of_host):
    packed = pack_corpus(corpus, settings(), seed=0)
    whole, mine = (
        take(make_batches(corpus, packed, settings(), seed=1, start_step=5, **part), 9)
        for part in ({}, {"rows_of_host": rows_of_host})
    )
    places = rows_of_host(8)
    for part, batch in zip(mine, whole, strict=True):
        assert same(part, Batch(*(field[places] for field in batch)))


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(None, [0.9, 0.1]), (1.0, [0.9, 0.1]), (2.0, [0.75, 0.25]), (1e6, [0.5, 0.5])],
)
def test_temperature_raises_the_share_of_the_small(temperature, expected):
    corpora = (CorpusConfig(), CorpusConfig())
    data = config(corpora=corpora, corpora_temperature=temperature)
    packed = pack_corpus(numbered_corpus(), config(), seed=0)
    packed = dataclasses.replace(packed, corpus_rows=(900, 100))
    mixture = make_mixture(packed, data)
    assert mixture.shares == pytest.approx(expected, abs=1e-5)


def test_other_weights_and_seeds_are_other_rows(corpus):
    packed = pack_corpus(corpus, settings(), seed=0)
    cases = [(WEIGHTS, 0), (WEIGHTS, 1), ((1.0, 1.0, 1.0), 0)]
    first = [
        next(make_batches(corpus, packed, settings(weights), seed=seed))
        for weights, seed in cases
    ]
    for one, other in itertools.combinations(first, 2):
        assert not same(one, other)
    again = next(make_batches(corpus, packed, settings((2.0, 4.0, 1.0)), seed=0))
    assert same(first[0], again)  # Weights count by their ratios alone.


def test_a_single_table_is_the_text_alone():
    corpus = numbered_corpus()
    plain, table = config(), config(corpora=(CorpusConfig(weight=3.0),))
    batches = [
        take(make_batches(corpus, pack_corpus(corpus, c, seed=0), c, seed=2), 30)
        for c in (plain, table)
    ]
    assert all(map(same, *batches))
