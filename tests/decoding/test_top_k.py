"""The k largest of long rows are those of `lax.top_k`, ties and all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from transformer_jax.decoding.top_k import top_k, top_k_of_sums


def rows_of(length):
    """Rows on which a selection by chunks could go wrong."""
    rng = np.random.default_rng(length)
    few = np.full(length, -np.inf)
    few[rng.integers(0, length, 3)] = [2.0, 1.0, 1.0]
    last = np.zeros(length)
    last[-1] = 1.0
    return np.stack(
        [
            rng.normal(size=length),
            rng.integers(0, 3, length),  # Ties everywhere.
            rng.integers(0, max(2, length // 4), length),  # Some ties.
            np.sort(rng.normal(size=length)),  # All in the last chunks.
            np.sort(rng.normal(size=length))[::-1],
            np.where(rng.random(length) < 0.99, -np.inf, rng.normal(size=length)),
            np.zeros(length),
            np.full(length, -np.inf),
            few,
            last,
        ]
    ).astype(np.float32)


# Below 1,024, and from there with k so large that all are ordered; with a divisor near
# the best size of a chunk (1024, 6000, 37000) and without (primes, and twice a prime).
@pytest.mark.parametrize(
    ("length", "k"),
    [
        (1, 1), (7, 7), (1000, 8), (1023, 4), (1024, 16), (1024, 17), (1030, 100),
        (1024, 1), (1024, 8), (1031, 1), (1031, 8), (1031, 16), (2062, 10), (6000, 8),
        (9973, 8), (9973, 2), (37000, 8), (36997, 20),
    ],
)  # fmt: skip
def test_values_and_places_are_those_of_lax(length, k):
    rows = rows_of(length)
    values, places = jax.jit(top_k, static_argnums=1)(rows, k)
    expected_values, expected_places = lax.top_k(rows, k)
    assert places.dtype == np.int32
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(places, expected_places)


@pytest.mark.slow
def test_any_number_of_axes():
    x = jax.random.randint(jax.random.key(0), (2, 3, 2, 1500), 0, 50)
    x = x.astype(jnp.float32)
    for part in (x, x[0, 0, 0]):
        for found, expected in zip(top_k(part, 5), lax.top_k(part, 5), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("length", "k"), [(200, 8), (2000, 8), (1999, 8), (997, 10)])
def test_sums_of_several_rows_are_selected_as_lax_selects_them(length, k):
    rng = np.random.default_rng(length)
    # Few different numbers: sums are equal within rows and between them.
    x = rng.integers(0, 9, (6, 4, length)).astype(np.float32)
    subtrahend = rng.integers(0, 3, (6, 4)).astype(np.float32)
    addend = rng.integers(0, 3, (6, 4)).astype(np.float32)
    addend[0, 1:] = -np.inf  # No such hypothesis.
    addend[1] = -np.inf
    x[2, 1] = -np.inf
    x[3, 2, 5] = subtrahend[3, 2] = np.nan
    x[4, :, :-3] = -np.inf
    values, rows, places = jax.jit(top_k_of_sums, static_argnums=3)(
        x, subtrahend, addend, k
    )
    sums = addend[..., None] + (x - subtrahend[..., None])
    sums = np.where(np.isnan(sums), -np.inf, sums).reshape(6, -1)
    expected_values, expected_places = lax.top_k(sums, k)
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(rows * length + places, expected_places)
    assert ((places >= 0) & (places < length)).all()
