"""Sampling of the next token: temperature, top-k, top-p."""

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
    """Returns one sampled token for each hypothesis.

    Args:
        rng: a key for each sentence, `[batch]`. The tokens depend on the key and the
            position, not on the rest of the batch.
        logits: minus infinity for forbidden tokens.
    """
    logits = logits / settings.temperature
    if settings.top_k is not None and settings.top_k < logits.shape[-1]:
        least = top_k(logits, settings.top_k)[0][..., -1:]
        logits = _keep_most_probable(logits, least, settings.top_k)
    if settings.top_p is not None and settings.top_p < 1:
        logits = _keep_nucleus(logits, settings.top_p)
    keys = jax.vmap(jax.random.fold_in)(rng, positions)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def _keep_nucleus(
    logits: Float[Array, "batch beam vocab"], top_p: float
) -> Float[Array, "batch beam vocab"]:
    """Keeps the smallest set of tokens whose probabilities sum to at least `top_p`."""
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered)
    # A token is kept if the sum of those before it is below top_p.
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    number = jnp.sum(before < top_p, axis=-1, keepdims=True)
    least = jnp.take_along_axis(ordered, number - 1, axis=-1)
    return _keep_most_probable(logits, least, number)


def _keep_most_probable(
    logits: Float[Array, "batch beam vocab"],
    least: Float[Array, "batch beam 1"],
    number: Int[Array, "batch beam 1"] | int,
) -> Float[Array, "batch beam vocab"]:
    """Keeps `number` tokens, the smallest logit being `least`; lower ids win ties."""
    is_more, is_least = logits > least, logits == least
    room = number - jnp.sum(is_more, axis=-1, keepdims=True)
    is_kept = is_more | (is_least & (jnp.cumsum(is_least, axis=-1) <= room))
    return jnp.where(is_kept, logits, -jnp.inf)
