"""Layer normalisation with a backward pass that stores little."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transformer_jax import axes
from transformer_jax.model.params import make_parameter


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(
    x: Float[Array, "*batch d_model"],
    scale: Float[Array, " d_model"],
    bias: Float[Array, " d_model"],
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    """Returns `(x - mean) / sqrt(variance + epsilon) * scale + bias`, in x's dtype.

    Statistics are float32, over the last axis. The backward pass is written by hand:
    automatic differentiation would store several float32 copies of x, this one stores
    x and two numbers for each vector.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(
    x: Array, scale: Array, bias: Array, epsilon: float
) -> tuple[Array, tuple[Array, ...]]:
    x_32 = x.astype(jnp.float32)
    mean = jnp.mean(x_32, axis=-1, keepdims=True)
    # Both moments in one pass over x.
    square = jnp.mean(jnp.square(x_32), axis=-1, keepdims=True)
    variance = jnp.maximum(square - jnp.square(mean), 0.0)
    inverse = jax.lax.rsqrt(variance + epsilon)
    normalised = (x_32 - mean) * inverse
    row = (1,) * (x.ndim - 1) + scale.shape
    y = normalised * scale.reshape(row) + bias.reshape(row)
    return y.astype(x.dtype), (x, mean, inverse, scale)


def _backward(
    epsilon: float, kept: tuple[Array, ...], gradient: Array
) -> tuple[Array, Array, Array]:
    del epsilon  # It is in `inverse`.
    x, mean, inverse, scale = kept
    normalised = (x.astype(jnp.float32) - mean) * inverse
    gradient_32 = gradient.astype(jnp.float32)
    inner = gradient_32 * scale.reshape((1,) * (x.ndim - 1) + scale.shape)
    # The result does not change when x is shifted or scaled, so the gradient has no
    # component in these two directions.
    shift = jnp.mean(inner, axis=-1, keepdims=True)
    stretch = jnp.mean(inner * normalised, axis=-1, keepdims=True)
    x_gradient = inverse * (inner - shift - normalised * stretch)
    vectors = tuple(range(x.ndim - 1))
    return (
        x_gradient.astype(x.dtype),
        jnp.sum(gradient_32 * normalised, axis=vectors),
        jnp.sum(gradient_32, axis=vectors),
    )


layer_norm.defvjp(_forward, _backward)


class LayerNorm(nn.Module):
    """`layer_norm` with a trained scale and bias, 1 and 0 at first.

    Paper: section 3.1.
    """

    epsilon: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch d_model"]
    ) -> Float[Array, "*batch d_model"]:
        def vector(name: str, initializer: Callable[..., Array]) -> Array:
            shape = (x.shape[-1],)
            return make_parameter(self, name, initializer, shape, (axes.VECTOR,))

        scale = vector("scale", nn.initializers.ones_init())
        bias = vector("bias", nn.initializers.zeros_init())
        normalised: Array = layer_norm(x, scale, bias, self.epsilon)
        return normalised
