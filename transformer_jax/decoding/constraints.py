"""Constraints of decoding: minimum length, tokens and n-grams, forced prefixes."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.config.decoding import DecodingConfig


def apply_constraints(
    logits: Float[Array, "batch beam vocab"],
    sequences: Int[Array, "batch beam max_length"],
    positions: Int[Array, " batch"],
    prefixes: Int[Array, "batch prefix"] | None,
    settings: DecodingConfig,
    eos_id: int,
) -> Float[Array, "batch beam vocab"]:
    """Returns the logits, with minus infinity for forbidden tokens.

    Args:
        sequences: the tokens of the hypotheses.
        positions: number of these tokens.
        prefixes: the forced first tokens of each output, padded with -1. A prefix
            overrides the other constraints.
    """
    tokens = jnp.arange(logits.shape[-1])[None, None]
    allowed = logits
    if settings.min_length:
        too_short = (positions < settings.min_length)[:, None, None]
        allowed = jnp.where(too_short & (tokens == eos_id), -jnp.inf, allowed)
    if settings.forbidden_tokens:
        forbidden = jnp.isin(tokens, jnp.array(settings.forbidden_tokens))
        allowed = jnp.where(forbidden, -jnp.inf, allowed)
    if settings.no_repeat_ngram_size is not None:
        allowed = _forbid_repetition(
            allowed, sequences, positions, settings.no_repeat_ngram_size
        )
    if prefixes is not None:
        place = jnp.minimum(positions, prefixes.shape[1] - 1)[:, None]
        forced = jnp.take_along_axis(prefixes, place, axis=1)
        forced = jnp.where(positions[:, None] < prefixes.shape[1], forced, -1)
        forced = forced[:, :, None]
        only_forced = jnp.where(tokens == forced, logits, -jnp.inf)
        allowed = jnp.where(forced >= 0, only_forced, allowed)
    return allowed


def _forbid_repetition(
    logits: Float[Array, "batch beam vocab"],
    sequences: Int[Array, "batch beam max_length"],
    positions: Int[Array, " batch"],
    size: int,
) -> Float[Array, "batch beam vocab"]:
    """Forbids tokens that would repeat an n-gram of the hypothesis."""
    batch, beam, max_length = sequences.shape
    if size > max_length:
        return logits
    # For each n-gram: whether its first n - 1 tokens are the last ones of the
    # hypothesis.
    number = max_length - size + 1
    first = jnp.arange(number)[None]
    same = first + size <= positions[:, None]
    same = jnp.broadcast_to(same[:, None], (batch, beam, number))
    for offset in range(size - 1):
        last = jnp.maximum(positions - size + 1 + offset, 0)[:, None, None]
        last = jnp.take_along_axis(sequences, last, axis=2)
        same &= sequences[:, :, offset : offset + number] == last
    ends = sequences[:, :, size - 1 :]
    rows = jnp.arange(batch)[:, None, None]
    places = jnp.arange(beam)[None, :, None]
    # An index outside the vocabulary forbids nothing.
    ends = jnp.where(same, ends, logits.shape[-1])
    return logits.at[rows, places, ends].set(-jnp.inf, mode="drop")
