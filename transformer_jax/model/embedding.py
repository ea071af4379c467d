"""Token embeddings, and the same matrix as the pre-softmax projection."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig


class Embedding(nn.Module):
    """A matrix `[vocab_size, d_model]`: rows for tokens, columns for logits.

    Initialised with variance 1 / d_model, so that rows scaled by sqrt(d_model) have
    unit variance, and so have the logits of a normalised hidden vector.

    Paper: section 3.4.
    """

    config: ModelConfig
    vocab_size: int

    def setup(self) -> None:
        self.matrix: Any = self.param(
            "matrix",
            nn.with_logical_partitioning(
                nn.initializers.normal(self.config.d_model**-0.5),
                (axes.VOCAB, axes.EMBED),
            ),
            (self.vocab_size, self.config.d_model),
            jnp.float32,
        )

    def __call__(self, tokens: Int[Array, "*shape"]) -> Float[Array, "*shape d_model"]:
        """Returns the rows of the tokens, times sqrt(d_model), in float32."""
        return jnp.take(self.matrix, tokens, axis=0) * self.config.d_model**0.5


def project_to_logits(
    hidden: Float[Array, "*batch d_model"], matrix: Float[Array, "vocab d_model"]
) -> Float[Array, "*batch vocab"]:
    """Returns float32 logits: the pre-softmax projection, in the matrix's dtype."""
    return jnp.einsum(
        "...d,vd->...v",
        hidden.astype(matrix.dtype),
        matrix,
        preferred_element_type=jnp.float32,
    )
