"""Length and coverage penalties against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.decoding.penalties import coverage_penalty, make_length_penalty
from transformer_jax.errors import InputError


@pytest.mark.parametrize(
    ("name", "alpha", "expected"),
    [
        ("gnmt", 1.0, [1.0, 7 / 6, 2.5]),  # (5 + length) / 6
        ("gnmt", 0.6, [1.0, 1.0969030, 1.7328622]),
        ("length", 1.0, [1.0, 2.0, 10.0]),
        ("length", 0.5, [1.0, 1.4142136, 3.1622777]),
        ("none", 0.6, [1.0, 1.0, 1.0]),
    ],
)
def test_penalties_of_lengths_1_2_and_10(name, alpha, expected):
    penalty = jax.jit(make_length_penalty(name, alpha))(jnp.array([1, 2, 10]))
    assert penalty.dtype == jnp.float32
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["gnmt", "length", "none"])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
def test_penalties_keep_the_promise_of_the_early_stop(name, alpha):
    penalty = np.asarray(make_length_penalty(name, alpha)(jnp.arange(1, 1000)))
    assert penalty[0] >= 1.0
    assert np.all(np.diff(penalty) >= 0.0)


def test_equal_arguments_give_one_function_so_that_jit_traces_once():
    assert make_length_penalty("gnmt", 0.6) is make_length_penalty("gnmt", 0.6)


def test_unknown_name_and_negative_alpha_are_refused():
    with pytest.raises(InputError, match=r"length_penalty='google' is unknown.*'gnmt'"):
        make_length_penalty("google")
    with pytest.raises(InputError, match=r"length_penalty_alpha=-0\.5 must be"):
        make_length_penalty("length", -0.5)


def test_coverage_penalty_by_hand():
    # log .5 + log 1, as more than 1 counts as 1; log .25 + log .5; padding counts 1.
    coverage = jnp.asarray([[[0.5, 1.7, 1.0], [0.25, 0.5, 1.0]]])
    np.testing.assert_allclose(
        coverage_penalty(coverage, 0.5),
        [[0.5 * np.log(0.5), 0.5 * np.log(0.125)]],
        rtol=1e-6,
    )


def test_coverage_penalty_of_what_got_no_attention_is_finite_and_large():
    (penalty,) = coverage_penalty(jnp.zeros((1, 1)), 1.0)
    assert -100 < penalty < -50
