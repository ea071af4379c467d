"""Token embeddings and the pre-softmax projection, which may share a matrix."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.matrix_product import add_bias
from transformer_jax.model.params import make_parameter


class Embedding(nn.Module):
    """A matrix `[vocab_size, d_model]`: rows for tokens, columns for logits.

    Initialised with variance 1 / d_model. Rows scaled by sqrt(d_model) then have unit
    variance, and so do the logits of a normalised hidden vector.

    Paper: section 3.4.
    """

    config: ModelConfig
    vocab_size: int

    def setup(self) -> None:
        self.matrix = make_parameter(
            self,
            "matrix",
            nn.initializers.normal(self.config.d_model**-0.5),
            (self.vocab_size, self.config.d_model),
            (axes.VOCAB, axes.EMBED),
        )

    def __call__(self, tokens: Int[Array, "*shape"]) -> Float[Array, "*shape d_model"]:
        """Returns the rows of the tokens, times sqrt(d_model), in float32."""
        rows: Array = jnp.take(self.matrix, tokens, axis=0) * self.config.d_model**0.5
        return rows


class OutputBias(nn.Module):
    """A float32 bias for the logit of each token, 0 at first.

    Differs from the paper: it has none; see `config.output_bias`.
    """

    vocab_size: int

    @nn.compact
    def __call__(self) -> Float[Array, " vocab"]:
        return make_parameter(
            self,
            "bias",
            nn.initializers.zeros_init(),
            (self.vocab_size,),
            (axes.VOCAB,),
        )


def project_to_logits(
    hidden: Float[Array, "*batch d_model"],
    matrix: Float[Array, "vocab d_model"],
    bias: Float[Array, " vocab"] | None = None,
) -> Float[Array, "*batch vocab"]:
    """Returns float32 logits, multiplied in the dtype of the matrix."""
    logits = jnp.einsum(
        "...d,vd->...v",
        hidden.astype(matrix.dtype),
        matrix,
        preferred_element_type=jnp.float32,
    )
    return logits if bias is None else add_bias(logits, bias)
