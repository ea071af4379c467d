"""Drawing the next token from the model's probabilities."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.top_k import top_k


def sample_tokens(
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
        least = top_k(logits, settings.top_k)[0][..., -1:]
        logits = _most_probable(logits, least, settings.top_k)
    if settings.top_p is not None and settings.top_p < 1:
        logits = _nucleus(logits, settings.top_p)
    keys = jax.vmap(jax.random.fold_in)(rng, positions)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def _nucleus(
    logits: Float[Array, "batch beam vocab"], top_p: float
) -> Float[Array, "batch beam vocab"]:
    """Keeps the fewest tokens whose probabilities sum to at least `top_p`."""
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered)
    # A token is kept if those before it do not suffice.
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    number = jnp.sum(before < top_p, axis=-1, keepdims=True)
    least = jnp.take_along_axis(ordered, number - 1, axis=-1)
    return _most_probable(logits, least, number)


def _most_probable(
    logits: Float[Array, "batch beam vocab"],
    least: Float[Array, "batch beam 1"],
    number: Int[Array, "batch beam 1"] | int,
) -> Float[Array, "batch beam vocab"]:
    """Keeps so many tokens, down to the `least`: of equal ones those of lower id."""
    is_more, is_least = logits > least, logits == least
    room = number - jnp.sum(is_more, axis=-1, keepdims=True)
    is_kept = is_more | (is_least & (jnp.cumsum(is_least, axis=-1) <= room))
    return jnp.where(is_kept, logits, -jnp.inf)
