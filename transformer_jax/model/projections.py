"""The projections of multi-head attention: W^Q, W^K, W^V and W^O, of all heads."""

import flax.linen as nn
from jaxtyping import Array, Float

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.matrix_product import add_bias, multiply_by_kernel
from transformer_jax.model.params import make_parameter


class HeadsProjection(nn.Module):
    """W^Q, W^K or W^V of all heads; the result is the concatenation of the heads.

    Paper: section 3.2.2.
    Differs from the paper: adds a bias if `config.attention_bias`.
    """

    config: ModelConfig
    width: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch d_model"]
    ) -> Float[Array, "*batch heads_width"]:
        y = multiply_by_kernel(
            self,
            x,
            nn.initializers.xavier_uniform(in_axis=0, out_axis=(1, 2)),
            (self.config.d_model, self.config.num_heads, self.width),
            (axes.EMBED, axes.HEADS, axes.KV),
        )
        if not self.config.attention_bias:
            return y
        bias = make_parameter(
            self,
            "bias",
            nn.initializers.zeros_init(),
            (self.config.num_heads, self.width),
            (axes.HEADS, axes.KV),
        )
        return add_bias(y, bias)


class OutputProjection(nn.Module):
    """W^O, applied to the concatenation of the heads.

    Paper: section 3.2.2.
    Differs from the paper: adds a bias if `config.attention_bias`.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, attended: Float[Array, "*batch heads_d_v"]
    ) -> Float[Array, "*batch d_model"]:
        y = multiply_by_kernel(
            self,
            attended,
            nn.initializers.xavier_uniform(in_axis=(0, 1), out_axis=2),
            (self.config.num_heads, self.config.value_size, self.config.d_model),
            (axes.HEADS, axes.KV, axes.EMBED),
        )
        if not self.config.attention_bias:
            return y
        bias = make_parameter(
            self,
            "bias",
            nn.initializers.zeros_init(),
            (self.config.d_model,),
            (axes.VECTOR,),
        )
        return add_bias(y, bias)
