"""Rates of jobs, on weights of which the answer is known and against plain loops."""

import math

import numpy as np
import pytest
from attention_pictures.attended import cross_pair, decoder_pair, encoder_pair

from transformer_jax.attention_pictures.head_findings import HeadJob
from transformer_jax.attention_pictures.head_jobs import jobs_of
from transformer_jax.attention_pictures.job_counts import JobCounts


def measured(kind, pairs, weights, parses=False):
    """Returns the jobs of the first head, by name."""
    counts = JobCounts(jobs_of(kind, parses))
    for pair, each in zip(pairs, weights, strict=True):
        counts.add(pair, each)
    return {job.name: job for job in counts.rates()[0][0]}


def one_head(weights):
    return np.asarray(weights, np.float32)[None, None]


def test_a_head_that_attends_to_the_previous_piece():
    pairs = [encoder_pair("▁a ▁b ▁c"), encoder_pair("▁a ▁b ▁c ▁d ▁e")]
    weights = [np.eye(n, k=-1) for n in (4, 6)]
    for each in weights:
        each[0, -1] = 1
    jobs = measured("encoder", pairs, list(map(one_head, weights)))
    job = jobs["previous piece"]
    # The first piece of each has none before it.
    assert (job.rate, job.mean_weight, job.num_queries) == (1, 1, 3 + 5)
    assert job.uniform_rate == pytest.approx((3 / 4 + 5 / 6) / 8)
    assert job.positional_rate is None
    assert jobs["next piece"].rate == jobs["two pieces before"].rate == 0
    assert jobs["last piece"].rate == 2 / 10  # The first query of each.


def test_a_head_that_attends_to_everything_equally():
    pair = decoder_pair("▁a ▁b ▁c")
    weights = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    jobs = measured("decoder", [pair], [one_head(weights)])
    for name, expected in {
        "previous piece": (1 / 2 + 1 / 3 + 1 / 4) / 3,
        "two pieces before": (1 / 3 + 1 / 4) / 2,
        # Query 0 sees nothing but itself: it has no choice.
        "first piece": (1 / 2 + 1 / 3 + 1 / 4) / 3,
    }.items():
        job = jobs[name]
        assert job.rate == pytest.approx(expected)
        assert job.mean_weight == pytest.approx(expected)
        assert job.uniform_rate == pytest.approx(expected)
        assert job.margin < 0


def test_what_a_decoder_cannot_see_is_no_job_of_it():
    pair = decoder_pair("▁a ▁b")
    assert "next piece" not in measured("decoder", [pair], [one_head(np.eye(3))])


def test_a_fixed_distance_or_place_is_told_apart():
    # "x" and "y" come again at a distance of 2; the full stop is always next to last.
    pairs = [encoder_pair("▁x ▁y ▁x ▁y ."), encoder_pair("▁z .")]
    jobs = measured("encoder", pairs, [one_head(np.eye(n)) for n in (6, 3)])
    assert jobs["same piece elsewhere"].positional_rate == 2 / 4
    assert jobs["full stop"].positional_rate == 1
    assert jobs["full stop"].num_queries == 5 + 2  # A stop itself has no other.


def test_the_margin_is_less_where_little_was_seen():
    job = HeadJob("x", 0.9, 0.8, 0.1, 0.3, 100)
    assert job.margin == pytest.approx(0.9 - 0.3 - 0.1)
    assert HeadJob("x", 0.9, 0.8, 0.1, None, 4).margin == pytest.approx(0.3)


def test_a_closing_bracket_that_attends_to_its_opening_one():
    pair = decoder_pair("▁(S ▁(NP ▁NN ▁)NP ▁(VP ▁VB ▁)VP ▁)S")
    weights = np.zeros((9, 9))
    weights[:, 0] = 1
    for closing, opening in {4: 2, 7: 5, 8: 1}.items():
        weights[closing, [0, opening]] = 0.25, 0.75
    job = measured("decoder", [pair], [one_head(weights)], parses=True)[
        "matching opening bracket"
    ]
    assert (job.rate, job.mean_weight, job.num_queries) == (1, 0.75, 3)
    assert job.uniform_rate == pytest.approx((1 / 5 + 1 / 8 + 1 / 9) / 3)
    assert job.positional_rate == pytest.approx(2 / 3)  # Two before.


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_rates_are_those_of_plain_loops(kind):
    rng = np.random.default_rng(0)
    words = ["▁ba", "be", "▁bi", "bo", "▁bu", ".", ",", "▁(S", "▁)S", "▁NN"]
    make = {"encoder": encoder_pair, "decoder": decoder_pair, "cross": cross_pair}[kind]
    pairs, weights = [], []
    for _ in range(4):
        texts = [
            " ".join(["▁ba", *rng.choice(words, rng.integers(3, 12))])
            for _ in range(2 if kind == "cross" else 1)
        ]
        pairs.append(make(*texts))
        drawn = rng.random((2, 3, *pairs[-1].shape)) * pairs[-1].visible()
        weights.append((drawn / drawn.sum(-1, keepdims=True)).astype(np.float32))
    jobs = jobs_of(kind, parses=True)
    counts = JobCounts(jobs)
    for pair, each in zip(pairs, weights, strict=True):
        counts.add(pair, each)
    found = counts.rates()
    for layer, head in np.ndindex(2, 3):
        by_name = {job.name: job for job in found[layer][head]}
        for job in jobs:
            expected = plain_rates(job, pairs, [each[layer, head] for each in weights])
            if expected is None:
                assert job.name not in by_name
                continue
            got = by_name[job.name]
            assert got.num_queries == expected[0]
            rates = got.rate, got.mean_weight, got.uniform_rate
            np.testing.assert_allclose(rates, expected[1:4], rtol=1e-6)
            assert got.positional_rate in (None, pytest.approx(expected[4]))


def plain_rates(job, pairs, weights):
    """Returns queries, rate, mean weight, and the rates of the two baselines."""
    number = hits = total = uniform = 0
    fixed: dict = {}
    for pair, each in zip(pairs, weights, strict=True):
        mask, visible = job.places(pair), pair.visible()
        num_queries, num_keys = pair.shape
        for query in range(num_queries):
            seen = [key for key in range(num_keys) if visible[query, key]]
            inside = {key for key in seen if mask[query, key]}
            if not inside or len(inside) == len(seen):
                continue
            number += 1
            hits += max(seen, key=lambda key: each[query, key]) in inside
            total += math.fsum(float(each[query, key]) for key in inside)
            uniform += len(inside) / len(seen)
            for key in inside:
                for place in (0, key - query), (1, key), (2, num_keys - key):
                    fixed[place] = fixed.get(place, 0) + 1
    if not number:
        return None
    best = max(fixed.values())
    return number, hits / number, total / number, uniform / number, best / number
