"""Drawing the next token from the model's probabilities."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.config import DecodingConfig


def draw(
    rng: Array,
    logits: Float[Array, "batch beam vocab"],
    positions: Int[Array, " batch"],
    settings: DecodingConfig,
) -> Int[Array, "batch beam"]:
    """Returns one token for each hypothesis.

    Args:
        rng: a key for each sentence, `[batch]`. What is drawn depends on it and on the
            position, not on what else is in the batch.
        logits: minus infinity for what must not be drawn.
    """
    logits = logits / settings.temperature
    if settings.top_k is not None and settings.top_k < logits.shape[-1]:
        least = jax.lax.top_k(logits, settings.top_k)[0][..., -1:]
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    if settings.top_p is not None and settings.top_p < 1:
        logits = _nucleus(logits, settings.top_p)
    keys = jax.vmap(jax.random.fold_in)(rng, positions)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def _nucleus(
    logits: Float[Array, "batch beam vocab"], top_p: float
) -> Float[Array, "batch beam vocab"]:
    """Keeps the fewest tokens whose probabilities sum to at least `top_p`."""
    probabilities = jax.nn.softmax(logits)
    ordered = jnp.sort(probabilities, axis=-1, descending=True)
    # A token is kept if those before it do not suffice.
    before = jnp.cumsum(ordered, axis=-1) - ordered
    number = jnp.sum(before < top_p, axis=-1, keepdims=True)
    least = jnp.take_along_axis(ordered, number - 1, axis=-1)
    return jnp.where(probabilities >= least, logits, -jnp.inf)
