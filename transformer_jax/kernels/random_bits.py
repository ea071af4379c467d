"""Random bits that cost next to nothing, for dropout."""

from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import define_prng_impl


def _mixed(x: Array) -> Array:
    """Returns the words with every bit of each depending on all of its bits.

    The finalizer of MurmurHash3.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    """Returns bits that follow from the key and the place in the array alone."""
    place, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        along = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        place += along * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    words = _mixed(_mixed(place ^ key[0]) + key[1])
    return (words >> (32 - bit_width)).astype(f"uint{bit_width}")


def _seed(seed: Array) -> Array:
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.key_data(jax.random.split(_threefry(key), shape))


def _fold_in(key: Array, data: Any) -> Array:
    return jax.random.key_data(jax.random.fold_in(_threefry(key), data))


def _threefry(key: Array) -> Array:
    return jax.random.wrap_key_data(key, impl="threefry2x32")


# Keys are threefry's, so streams are as independent as those. Only the bits drawn with
# one key are cheaper: twenty operations for a word instead of a hundred and twenty,
# none of them across elements. So the compiler computes them where they are used, and
# they are the same on any mesh. Good enough to drop features, not for cryptography.
MURMUR: Hashable = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="murmur",
    tag="mur",
)
