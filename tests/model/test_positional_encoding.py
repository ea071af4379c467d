"""Section 3.5: interleaved sinusoids, and the learned table of Table 3, row E."""

import math

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.positional_encoding import (
    PositionalEncoding,
    max_position,
    sinusoidal_encoding,
)


@pytest.mark.parametrize("d_model", [2, 6, 512])
def test_sinusoids_are_those_of_the_paper(d_model):
    positions = np.arange(200)
    expected = np.empty((200, d_model))
    for i in range(d_model // 2):
        angles = positions / 10_000 ** (2 * i / d_model)
        expected[:, 2 * i] = np.sin(angles)
        expected[:, 2 * i + 1] = np.cos(angles)
    result = sinusoidal_encoding(jnp.asarray(positions), d_model)
    # The angle itself is only known to about 200 * 2^-24.
    np.testing.assert_allclose(result, expected, atol=5e-5)


def test_values_by_hand():
    # Features 0, 1 turn once in 2 pi positions; with d_model=4, features 2, 3 turn a
    # hundred times slower.
    result = sinusoidal_encoding(jnp.asarray([[0, 3]]), 4)
    assert result.shape == (1, 2, 4)
    np.testing.assert_allclose(result[0, 0], [0, 1, 0, 1], atol=1e-7)
    by_hand = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    np.testing.assert_allclose(result[0, 1], by_hand, atol=1e-6)


def test_positions_may_restart_within_a_row():
    restarting = sinusoidal_encoding(jnp.asarray([0, 1, 2, 0, 1]), 8)
    np.testing.assert_array_equal(restarting[:2], restarting[3:])


def test_learned_positions_are_rows_of_a_table_and_nan_beyond_it():
    config = ModelConfig.tiny(positions="learned", max_length=5)
    table = jnp.arange(5 * 32, dtype=jnp.float32).reshape(5, 32)
    result = PositionalEncoding(config).apply(
        {"params": {"table": table}}, jnp.asarray([[4, 0, 5, 99]])
    )
    np.testing.assert_array_equal(result[0, :2], table[jnp.asarray([4, 0])])
    assert np.all(np.isnan(result[0, 2:]))


def test_only_a_table_has_a_longest_position():
    assert max_position(ModelConfig.tiny(positions="learned", max_length=5)) == 5
    assert max_position(ModelConfig.tiny(max_length=5)) is None


def test_signatures_are_checked_while_tests_run():
    # Positions that are not integers would work by themselves: only the annotation,
    # instrumented by `--jaxtyping-packages`, refuses them.
    with pytest.raises(jaxtyping.TypeCheckError, match="positions"):
        sinusoidal_encoding(jnp.asarray([0.5]), 4)
