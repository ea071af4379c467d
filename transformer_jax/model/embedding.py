"""Token embeddings and the pre-softmax projection, which may share a matrix."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
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


def project_to_logits(
    hidden: Float[Array, "*batch d_model"], matrix: Float[Array, "vocab d_model"]
) -> Float[Array, "*batch vocab"]:
    """Returns float32 logits, multiplied in the dtype of the matrix."""
    return jnp.einsum(
        "...d,vd->...v",
        hidden.astype(matrix.dtype),
        matrix,
        preferred_element_type=jnp.float32,
    )
