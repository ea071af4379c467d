"""Fitted exponents, and where costs cross."""

import pytest

from transformer_jax.reproduction.table_1.exponents import crossing, fit_exponents

LENGTHS, WIDTHS = [8, 16, 32, 64], [5, 20]


def test_a_power_is_found_again():
    pairs = [(n, d) for n in LENGTHS for d in WIDTHS]
    fitted = fit_exponents(*zip(*pairs, strict=True), [3 * n**2 * d for n, d in pairs])
    assert fitted.length == pytest.approx(2)
    assert fitted.width == pytest.approx(1)
    assert fitted.constant == pytest.approx(3)


def test_costs_cross_where_they_are_equal():
    """4 n^2 d and 4 n d^2 at n = d."""
    for width in (9, 20, 50):
        attention = [4 * n**2 * width for n in LENGTHS]
        recurrent = [4 * n * width**2 for n in LENGTHS]
        assert crossing(LENGTHS, attention, recurrent) == pytest.approx(width)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [2, 3, 4, 5], None),
        ([2, 3, 4, 5], [1, 2, 3, 4], None),
        ([1, 2, 9, 9], [2, 2, 3, 3], 16),  # Equal at one of the lengths.
        ([1, 3, 1, 9], [2, 2, 9, 1], 2048**0.5),  # The last time, between 32 and 64.
    ],
)
def test_the_last_crossing_counts(first, second, expected):
    found = crossing(LENGTHS, first, second)
    assert found == (expected if expected is None else pytest.approx(expected))
