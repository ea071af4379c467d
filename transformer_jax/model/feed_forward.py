"""Position-wise feed-forward network."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.matrix_product import add_bias, multiply_by_kernel
from transformer_jax.model.params import make_parameter
from transformer_jax.model.rematerialisation import KEPT


@jax.custom_vjp
def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `max(0, x)`.

    The gradient is computed from the result, which the next product keeps anyway.
    """
    return jnp.maximum(x, 0)


def _relu_forward(x: Array) -> tuple[Array, Array]:
    y = checkpoint_name(jnp.maximum(x, 0), KEPT)
    return y, y


def _relu_backward(y: Array, gradient: Array) -> tuple[Array]:
    return (jnp.where(y > 0, gradient, jnp.zeros_like(gradient)),)


relu.defvjp(_relu_forward, _relu_backward)

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu": jax.nn.gelu,
    "swish": jax.nn.swish,
}


class _Linear(nn.Module):
    """`x W + b`."""

    width: int
    kernel_axes: tuple[str, str]
    bias_axis: str

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inner"]) -> Float[Array, "*batch outer"]:
        y = multiply_by_kernel(
            self,
            x,
            nn.initializers.xavier_uniform(),
            (x.shape[-1], self.width),
            self.kernel_axes,
        )
        bias = make_parameter(
            self,
            "bias",
            nn.initializers.zeros_init(),
            (self.width,),
            (self.bias_axis,),
        )
        return add_bias(y, bias)


class FeedForward(nn.Module):
    """`max(0, x W1 + b1) W2 + b2`, the same at every position.

    Paper: section 3.3, equation (2). `gelu` and `swish` are not the paper's.
    """

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        self.inner = _Linear(config.d_ff, (axes.EMBED, axes.MLP), axes.MLP)
        self.outer = _Linear(config.d_model, (axes.MLP, axes.EMBED), axes.VECTOR)
        self.dropout = Dropout(config.activation_dropout_rate)

    def __call__(
        self, x: Float[Array, "*batch d_model"], *, deterministic: bool
    ) -> Float[Array, "*batch d_model"]:
        hidden = self.inner(x)
        if self.config.activation != "relu":
            hidden = checkpoint_name(hidden, KEPT)
        hidden = ACTIVATIONS[self.config.activation](hidden)
        return self.outer(self.dropout(hidden, deterministic=deterministic))
