"""Candidate next tokens of live hypotheses: the most probable, or sampled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transformer_jax.decoding.bracket_grammar import allowed_tokens
from transformer_jax.decoding.constraints import apply_constraints
from transformer_jax.decoding.sampling import sample_tokens
from transformer_jax.decoding.search_state import Search, SearchState
from transformer_jax.decoding.top_k import top_k_of_sums


class Continuations(NamedTuple):
    """Continuations of live hypotheses by one token."""

    totals: Array  # float32 [batch, n]: log-probability of the whole hypothesis
    parents: Array  # int32 [batch, n]: index of the live hypothesis
    tokens: Array  # int32 [batch, n]


def propose_continuations(
    state: SearchState, logits: Float[Array, "batch beam vocab"], search: Search
) -> Continuations:
    """Returns the 2 * beam best continuations, best first.

    In sampling, one for each hypothesis. A vocabulary of one token has fewer than
    2 * beam continuations, but at least beam.
    """
    settings = search.settings
    logits = logits.astype(jnp.float32)
    # Over all tokens: constraints do not change the probabilities of allowed tokens.
    normalizer = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    logits = apply_constraints(
        logits, state.live.sequences, state.positions, state.prefixes, settings,
        search.eos_id,
    )  # fmt: skip
    _, beam_size, vocab_size = logits.shape
    if search.grammar is not None and state.brackets is not None:
        left = state.limits - state.positions
        allowed = allowed_tokens(
            search.grammar, state.brackets, left, vocab_size, search.eos_id
        )
        logits = jnp.where(allowed, logits, -jnp.inf)
    if settings.sampling and state.rng is not None:
        tokens = sample_tokens(state.rng, logits, state.positions, settings)
        drawn = jnp.take_along_axis(logits, tokens[:, :, None], axis=2)
        drawn = _log_probabilities(drawn, normalizer)
        parents = jnp.broadcast_to(jnp.arange(beam_size)[None], tokens.shape)
        return Continuations(state.live.scores + drawn[:, :, 0], parents, tokens)
    number = min(2, vocab_size) * beam_size
    return Continuations(
        *top_k_of_sums(logits, normalizer[:, :, 0], state.live.scores, number)
    )


def _log_probabilities(
    logits: Float[Array, "batch beam n"], normalizer: Float[Array, "batch beam 1"]
) -> Float[Array, "batch beam n"]:
    """Returns log-probabilities, minus infinity for NaN, which some sorts put first."""
    log_probs = logits - normalizer
    return jnp.where(jnp.isnan(log_probs), -jnp.inf, log_probs)
