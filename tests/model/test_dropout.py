"""Dropout, and the random bits it is drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.kernels.random_bits import MURMUR
from transformer_jax.model.dropout import dropout


def keys(number, impl=MURMUR):
    return jax.random.split(jax.random.key(7, impl=impl), number)


@pytest.mark.parametrize("impl", [MURMUR, "threefry2x32", "rbg"])
def test_the_mask_of_the_value_is_that_of_the_gradient(impl):
    (rng,) = keys(1, impl)
    x = 1 + jnp.arange(3 * 5 * 400.0).reshape(3, 5, 400)
    y, backward = jax.vjp(lambda x: dropout(x, 0.3, rng), x)
    (gradient,) = backward(jnp.ones_like(x))
    np.testing.assert_allclose(y, gradient * x, rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_allclose(gradient[gradient != 0], 1 / 0.7, rtol=1e-4)
    # Nothing of x's size is kept for the gradient.
    assert all(leaf.size < 10 for leaf in jax.tree.leaves(backward))


@pytest.mark.slow
def test_rates_are_kept_to_a_part_in_65536():
    x = jnp.ones((1, 1))
    for rate in (0.1, 0.3, 1e-3):
        values = {float(dropout(x, rate, rng)[0, 0]) for rng in keys(200)} - {0.0}
        (scale,) = values
        assert 1 - 1 / scale == pytest.approx(rate, abs=2**-17)


def test_the_bits_of_murmur_look_random():
    """Bits, places, and keys are each fair and know nothing of each other."""
    shape = (64, 256)
    words = np.asarray(
        jax.vmap(lambda rng: jax.random.bits(rng, shape, jnp.uint16))(keys(128))
    )
    counts = np.bincount(words.ravel(), minlength=1 << 16)
    expected = words.size / (1 << 16)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (1 << 16)) < 5 * np.sqrt(2 * (1 << 16))

    drops = (words < 6_554).astype(np.float32)
    drops = (drops - drops.mean()) / drops.std()
    pairs = {
        "features": (drops[:, :, 1:], drops[:, :, :-1]),
        "halves": (drops[:, :, 128:], drops[:, :, :128]),
        "rows": (drops[:, 1:], drops[:, :-1]),
        "keys": (drops[1:], drops[:-1]),
    }
    for name, (one, other) in pairs.items():
        deviations = (one * other).sum() / np.sqrt(one.size)
        assert abs(deviations) < 5, name
    for axes in [(0,), (1, 2), (0, 1)]:
        mean = drops.mean(axis=axes)
        assert mean.std() == pytest.approx(np.sqrt(mean.size / drops.size), rel=0.3)


def test_bits_depend_on_the_place_alone_and_not_on_how_it_is_sharded():
    (rng,) = keys(1)
    mesh = jax.make_mesh((8,), ("rows",))
    spread = jax.NamedSharding(mesh, jax.P("rows"))

    def bits(rng):
        return jax.random.bits(rng, (16, 24), jnp.uint16)

    whole = jax.jit(bits)(rng)
    np.testing.assert_array_equal(jax.jit(bits, out_shardings=spread)(rng), whole)
    shorter = jax.random.bits(rng, (4, 24), jnp.uint16)
    np.testing.assert_array_equal(shorter, whole[:4])
