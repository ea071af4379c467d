"""Log-probabilities of given tokens, fused with the projection to logits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.loss.position_slices import join_positions, split_positions
from transformer_jax.model.matrix_product import add_bias


def gold_log_probs(
    hidden: Float[Array, "rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    bias: Float[Array, " vocab"] | None,
    labels: Int[Array, "rows length"],
    slice_tokens: int,
) -> Float[Array, "rows length"]:
    """Returns `log softmax(hidden @ matrix.T + bias)` at the labels; nats, float32.

    It projects about `slice_tokens` positions at a time: the logits of a batch are
    never held whole.

    Args:
        hidden: decoder outputs, in the dtype the products are computed in.
    """
    matrix = matrix.astype(hidden.dtype)

    def of_slice(inputs: tuple[Array, Array]) -> Array:
        hidden, labels = inputs
        logits = jnp.einsum(
            "rld,vd->rlv", hidden, matrix, preferred_element_type=jnp.float32
        )
        if bias is not None:
            logits = add_bias(logits, bias)
        gold = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        return gold - jax.nn.logsumexp(logits, axis=-1)

    slices = (
        split_positions(hidden, slice_tokens),
        split_positions(labels, slice_tokens),
    )
    log_probs = jax.lax.map(of_slice, slices)
    return join_positions(log_probs, labels.shape[1])
