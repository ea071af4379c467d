"""Dropout that draws its mask again in the backward pass instead of storing it."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_RESOLUTION = 1 << 16


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def dropout(
    x: Float[Array, "*shape"], rate: float, rng: Array
) -> Float[Array, "*shape"]:
    """Sets features to 0 with probability `rate` and scales up the others.

    The rate is rounded to a multiple of 1 / 65,536. The scale is `1 / (1 - rate)` of
    the rounded rate, so the expected value stays the same.

    Paper: section 5.4.
    """
    threshold = round(rate * _RESOLUTION)
    keep = jax.random.bits(rng, x.shape, jnp.uint16) >= threshold
    scale = _RESOLUTION / (_RESOLUTION - threshold)
    return jnp.where(keep, x * scale, jnp.zeros_like(x))


def _forward(x: Array, rate: float, rng: Array) -> tuple[Array, Array]:
    return dropout(x, rate, rng), rng


def _backward(rate: float, rng: Array, gradient: Array) -> tuple[Array, None]:
    dropped: Array = dropout(gradient, rate, rng)
    return dropped, None


dropout.defvjp(_forward, _backward)


class Dropout(nn.Module):
    """`dropout` with keys from the random stream "dropout"."""

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*shape"], *, deterministic: bool
    ) -> Float[Array, "*shape"]:
        if deterministic or not self.rate:
            return x
        dropped: Array = dropout(x, self.rate, self.make_rng("dropout"))
        return dropped
