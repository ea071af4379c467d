"""What live hypotheses are continued by: the most probable tokens, or drawn ones."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from transformer_jax.decoding.constraints import apply_constraints
from transformer_jax.decoding.sampling import sample_tokens
from transformer_jax.decoding.search_state import Search, SearchState
from transformer_jax.decoding.top_k import top_k


def propose_continuations(
    state: SearchState, logits: Float[Array, "batch beam vocab"], search: Search
) -> tuple[Float[Array, "batch n"], Int[Array, "batch n"], Int[Array, "batch n"]]:
    """Log-probability, parent and token of what the live hypotheses become.

    The 2 * beam best, best first (n is less where the vocabulary has one token, but
    never below beam); or, in sampling, one for each hypothesis.
    """
    settings = search.settings
    logits = logits.astype(jnp.float32)
    # Of all tokens: what is forbidden leaves the others' probabilities as they are.
    normalizer = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    logits = apply_constraints(
        logits, state.live.sequences, state.positions, state.prefixes, settings,
        search.eos_id,
    )  # fmt: skip
    batch_size, beam_size, vocab_size = logits.shape
    if settings.sampling and state.rng is not None:
        tokens = sample_tokens(state.rng, logits, state.positions, settings)
        drawn = jnp.take_along_axis(logits, tokens[:, :, None], axis=2)
        drawn = _log_probabilities(drawn, normalizer)
        parents = jnp.broadcast_to(jnp.arange(beam_size)[None], tokens.shape)
        return state.live.scores + drawn[:, :, 0], parents, tokens
    # Each hypothesis proposes its own best before its log-probability is added: the
    # large selection is many small independent ones, and rounding the sum cannot make
    # two tokens equal that the model tells apart.
    num_proposed = min(2 * beam_size, vocab_size)
    proposed, tokens = top_k(logits, num_proposed)
    proposed = _log_probabilities(proposed, normalizer)
    totals = state.live.scores[:, :, None] + proposed
    totals, index = lax.top_k(
        totals.reshape(batch_size, -1), min(2 * beam_size, beam_size * num_proposed)
    )
    tokens = jnp.take_along_axis(tokens.reshape(batch_size, -1), index, axis=1)
    return totals, index // num_proposed, tokens


def _log_probabilities(
    logits: Float[Array, "batch beam n"], normalizer: Float[Array, "batch beam 1"]
) -> Float[Array, "batch beam n"]:
    """Minus infinity where they are not numbers, which some sorts would put first."""
    found = logits - normalizer
    return jnp.where(jnp.isnan(found), -jnp.inf, found)
