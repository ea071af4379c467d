"""Position-wise feed-forward network."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from transformer_jax import axes
from transformer_jax.config import ModelConfig
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.rematerialisation import KEPT


@jax.custom_vjp
def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `max(0, x)`; its gradient needs the result alone, kept anyway."""
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


class FeedForward(nn.Module):
    """`max(0, x W1 + b1) W2 + b2`, the same at every position.

    Paper: section 3.3, equation (2). `gelu` and `swish` are not the paper's.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch d_model"], *, deterministic: bool
    ) -> Float[Array, "*batch d_model"]:
        config = self.config
        hidden = self._dense(config.d_ff, "inner", (axes.EMBED, axes.MLP), axes.MLP)(x)
        if config.activation != "relu":
            hidden = checkpoint_name(hidden, KEPT)
        hidden = ACTIVATIONS[config.activation](hidden)
        hidden = Dropout(config.activation_dropout_rate)(
            hidden, deterministic=deterministic
        )
        outer = (axes.MLP, axes.EMBED)
        return self._dense(config.d_model, "outer", outer, axes.VECTOR)(hidden)

    def _dense(
        self, width: int, name: str, kernel: tuple[str, str], bias: str
    ) -> nn.Dense:
        return nn.Dense(
            width,
            name=name,
            dtype=self.config.compute_dtype,
            kernel_init=nn.with_logical_partitioning(
                nn.initializers.xavier_uniform(), kernel
            ),
            bias_init=nn.with_logical_partitioning(
                nn.initializers.zeros_init(), (bias,)
            ),
        )
