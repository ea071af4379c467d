"""Dropout, its mask drawn again for the backward pass instead of being kept."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_RESOLUTION = 1 << 16


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def dropout(
    x: Float[Array, "*shape"], rate: float, rng: Array
) -> Float[Array, "*shape"]:
    """Sets features to 0 with probability `rate`, and scales up those that stay.

    The rate is rounded to a multiple of 1 / 65,536, and the scale is that of the
    rounded rate, so that the mean is kept.

    Paper: section 5.4.
    """
    threshold = round(rate * _RESOLUTION)
    keep = jax.random.bits(rng, x.shape, jnp.uint16) >= threshold
    scale = _RESOLUTION / (_RESOLUTION - threshold)
    return jnp.where(keep, x * scale, jnp.zeros_like(x))


def _forward(x: Array, rate: float, rng: Array) -> tuple[Array, Array]:
    return dropout(x, rate, rng), rng


def _backward(rate: float, rng: Array, gradient: Array) -> tuple[Any, None]:
    return dropout(gradient, rate, rng), None


dropout.defvjp(_forward, _backward)


class Dropout(nn.Module):
    """`dropout` under the stream of that name."""

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*shape"], *, deterministic: bool
    ) -> Float[Array, "*shape"]:
        if deterministic or not self.rate:
            return x
        return dropout(x, self.rate, self.make_rng("dropout"))
