"""Length penalties against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.decoding.scores import make_length_penalty
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
