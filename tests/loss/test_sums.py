"""Sums are merged and divided once."""

import math

import jax.numpy as jnp
import pytest

from transformer_jax.loss.sums import add_sums, count_tokens, mean_metrics


def test_counts_are_of_real_tokens_and_of_places():
    source = jnp.asarray([[1, 1, 2, 0], [1, 0, 0, 0]])
    target = jnp.asarray([[1, 2, 2], [0, 0, 0]])
    counts = count_tokens(source, target)
    assert {name: float(count) for name, count in counts.items()} == {
        "source_tokens": 4, "target_tokens": 3, "source_slots": 8, "target_slots": 6
    }  # fmt: skip


def counts(*values: float) -> dict[str, float]:
    names = "source_tokens", "source_slots", "target_tokens", "target_slots"
    return dict(zip(names, values, strict=True))


def test_the_mean_of_merged_sums_weighs_tokens_equally():
    first = {"loss": 30.0, "nll": 20.0, **counts(8.0, 9.0, 10.0, 16.0)}
    second = {"loss": 3.0, "nll": 2.5, **counts(2.0, 9.0, 1.0, 4.0)}
    means = mean_metrics(add_sums(first, second))
    # The mean of the two means, 2.25, would count the lonely token ten times.
    assert means["nll"] == pytest.approx(22.5 / 11)
    assert means["loss"] == pytest.approx(3.0)
    assert means["perplexity"] == pytest.approx(math.exp(22.5 / 11))
    assert means["fill"] == pytest.approx((10 + 11) / (18 + 20))


def test_hopeless_and_empty_sums_have_a_finite_summary():
    sums = {"loss": 1e9, "nll": 1e9, **counts(1.0, 1.0, 1.0, 1.0)}
    assert math.isfinite(mean_metrics(sums)["perplexity"])
    empty = mean_metrics(dict.fromkeys(sums, 0.0))
    assert empty == {"loss": 0.0, "nll": 0.0, "perplexity": 1.0, "fill": 0.0}
