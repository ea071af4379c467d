"""Beam search over a step function; knows neither the model nor Flax.

The search keeps, for each sentence, the `beam_size` best live hypotheses, which may
still grow, and the `beam_size` best finished ones, which end in end-of-sentence (EOS).
At every position each live hypothesis is continued by every token:

* of the 2 * beam_size most probable continuations, those among the first beam_size
  that are EOS become finished;
* the beam_size best that are not EOS are the next live ones. At most beam_size of
  the continuations are EOS, so ends never starve the live hypotheses.

An EOS that ranks below beam_size is dropped: plain beam search would not have kept it
either. A beam of one ends at its first EOS, and is therefore exactly greedy search.

Early stop, proved. Let a live hypothesis have log-probability p, its sentence the
length limit m. Each further token adds at most 0, so if it finishes, then with
log-probability q <= p <= 0, and at a length n <= m. Penalties are positive and do not
fall with length, so its score q / penalty(n) <= p / penalty(n) <= p / penalty(m).
Once that bound, for the best live p, does not exceed the worst of beam_size finished
scores, no later hypothesis can enter the result: the sentence is done. Until
beam_size hypotheses have finished, that worst score is minus infinity.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from transformer_jax.decoding.scores import LengthPenalty
from transformer_jax.errors import InputError

Cache = Any  # a pytree of arrays [batch, beam, ...]


@runtime_checkable
class Step(Protocol):
    """Extends every live hypothesis by one token: the model, as the search sees it.

    Receives the last token of each hypothesis, the cache of what was read before, and
    the position of that token, from 0. Returns the log-probabilities, at most 0, of
    the next token, and the cache with this position written. What all hypotheses of a
    sentence share (the keys and values of cross-attention) is no part of the cache:
    the step closes over it as `[batch, ...]`, and it is never copied or reordered.
    """

    def __call__(
        self, tokens: Int[Array, "batch beam"], cache: Cache, position: Int[Array, ""]
    ) -> tuple[Float[Array, "batch beam vocab"], Cache]: ...


class BeamResult(NamedTuple):
    """The n-best list of each sentence, n = beam_size.

    Finished hypotheses come first, best first; places they leave free go to
    unfinished ones, cut off at the sentence's length limit, best first. So the first
    place is unfinished only where nothing has finished. Where fewer than beam_size
    hypotheses exist (or log-probabilities were NaN), the last places hold none:
    length 0, score minus infinity.
    """

    sequences: (
        Array  # int32 [batch, beam, max_length]: no BOS, EOS if finished, padding
    )
    scores: Array  # float32 [batch, beam]: log-probability / penalty(length)
    lengths: Array  # int32 [batch, beam]: tokens before padding, EOS included
    finished: Array  # bool [batch, beam]: ends in EOS
    num_steps: Array  # int32 [batch]: positions computed until the sentence was done


class _Hypotheses(NamedTuple):
    """Up to beam_size hypotheses of each sentence, best first.

    The score of a live one is its log-probability; where there is none, -inf.
    """

    scores: Array  # float32 [batch, beam]
    sequences: Array  # int32 [batch, beam, max_length]
    lengths: Array  # int32 [batch, beam]


class _State(NamedTuple):
    position: Array  # int32 []
    done: Array  # bool [batch]
    num_steps: Array  # int32 [batch]
    tokens: Array  # int32 [batch, beam]: the last ones of the live hypotheses
    live: _Hypotheses
    finished: _Hypotheses
    cache: Cache


def beam_search(
    step: Step,
    cache: Cache,
    initial_tokens: Int[Array, " batch"],
    *,
    beam_size: int,
    max_length: int,
    eos_id: int,
    pad_id: int,
    length_penalty: LengthPenalty,
    max_lengths: Int[Array, " batch"] | None = None,
) -> BeamResult:
    """Returns the best continuations of the initial tokens, best first.

    To be called inside `jax.jit`, with every argument after `initial_tokens` static
    but `max_lengths`. The loop ends as soon as every sentence is done. On several
    devices, call it inside `jax.shard_map` over the batch (`check_vma=False`): no
    sentence needs another, and some compilers gather a sharded `top_k`.

    Args:
        step: the model.
        cache: what `step` has to remember of each hypothesis; every leaf is
            `[batch, beam_size, ...]` and follows its hypothesis when the beam is
            reordered.
        initial_tokens: what `step` reads at position 0, usually begin-of-sentence.
        beam_size: hypotheses kept and returned.
        max_length: most tokens of any output, EOS included.
        eos_id: the token that ends a hypothesis.
        pad_id: what fills the sequences after their end.
        length_penalty: of `transformer_jax.decoding.scores`.
        max_lengths: most tokens of each sentence's output, where that is less than
            `max_length`. At 0 a sentence costs no step and has no hypothesis, which
            suits rows that only fill up a batch.

    Raises:
        InputError: for sizes below 1, or a cache leaf of another shape.

    Paper: section 6.1: beam 4, length penalty of alpha 0.6, at most 50 tokens more
    than the source, ending early where possible.

    Differs from the paper: in the reference, any EOS among the 2 * beam_size best
    continuations finishes, its beam of one is not greedy search, and unfinished
    hypotheses never fill up a list that has a finished one.
    """
    _check(cache, initial_tokens, beam_size=beam_size, max_length=max_length)
    batch_size = initial_tokens.shape[0]
    limits = jnp.full((batch_size,), max_length, jnp.int32)
    if max_lengths is not None:
        limits = jnp.minimum(limits, max_lengths.astype(jnp.int32))
    empty = _Hypotheses(
        scores=jnp.full((batch_size, beam_size), -jnp.inf, jnp.float32),
        sequences=jnp.full((batch_size, beam_size, max_length), pad_id, jnp.int32),
        lengths=jnp.zeros((batch_size, beam_size), jnp.int32),
    )
    initial = _State(
        position=jnp.zeros((), jnp.int32),
        done=limits <= 0,
        num_steps=jnp.zeros_like(limits),
        tokens=jnp.tile(initial_tokens.astype(jnp.int32)[:, None], (1, beam_size)),
        # One empty hypothesis, not beam_size equal ones: copies would never part.
        live=empty._replace(scores=empty.scores.at[:, 0].set(0.0)),
        finished=empty,
        cache=cache,
    )
    final = lax.while_loop(
        lambda state: ~jnp.all(state.done),
        lambda state: _advance(state, step, limits, eos_id, length_penalty),
        initial,
    )
    return _ranked(final, pad_id, length_penalty)


def _check(cache: Cache, initial_tokens: Array, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name}={size} must be at least 1.")
    expected = (initial_tokens.shape[0], sizes["beam_size"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(cache):
        if leaf.shape[:2] != expected:
            raise InputError(
                f"cache{jax.tree_util.keystr(path)} of shape {leaf.shape} must begin "
                f"with (batch, beam_size)={expected}: repeat it for each hypothesis, "
                "or let the step close over it if all hypotheses share it."
            )


def _advance(
    state: _State,
    step: Step,
    limits: Int[Array, " batch"],
    eos_id: int,
    length_penalty: LengthPenalty,
) -> _State:
    """The state one position later; sentences that are done keep their hypotheses."""
    beam_size = state.tokens.shape[1]
    length = state.position + 1
    log_probs, cache = step(state.tokens, state.cache, state.position)
    totals, parents, tokens = _best_continuations(state.live.scores, log_probs)
    is_eos = tokens == eos_id
    continued = _Hypotheses(
        scores=totals,
        sequences=_gather(state.live.sequences, parents)
        .at[:, :, state.position]
        .set(tokens),
        lengths=jnp.full(tokens.shape, length),
    )

    scores, order = lax.top_k(jnp.where(is_eos, -jnp.inf, totals), beam_size)
    live, tokens, parents = _gather((continued, tokens, parents), order)
    live = live._replace(scores=scores)

    scores = jnp.where(is_eos, totals / length_penalty(length), -jnp.inf)
    ended = jax.tree.map(
        lambda leaf: leaf[:, :beam_size], continued._replace(scores=scores)
    )
    finished = _concatenate(state.finished, ended)
    finished = _gather(finished, lax.top_k(finished.scores, beam_size)[1])

    live, finished = _select(state.done, (state.live, state.finished), (live, finished))
    return _State(
        position=length,
        num_steps=jnp.where(state.done, state.num_steps, length),
        done=state.done | _is_done(live, finished, length, limits, length_penalty),
        tokens=tokens,
        live=live,
        finished=finished,
        # A beam of one has but one parent, and a cache too large to copy for nothing.
        cache=_gather(cache, parents) if beam_size > 1 else cache,
    )


def _best_continuations(
    live_scores: Float[Array, "batch beam"],
    log_probs: Float[Array, "batch beam vocab"],
) -> tuple[Float[Array, "batch n"], Int[Array, "batch n"], Int[Array, "batch n"]]:
    """Log-probability, parent and token of the 2 * beam best continuations.

    Best first; n is less where the vocabulary has one token, but never below beam.
    """
    batch_size, beam_size, vocab_size = log_probs.shape
    # Each hypothesis proposes its own best before its log-probability is added: the
    # large selection is many small independent ones, and rounding the sum cannot make
    # two tokens equal that the model tells apart.
    num_proposed = min(2 * beam_size, vocab_size)
    proposed, tokens = lax.top_k(log_probs.astype(jnp.float32), num_proposed)
    totals = (live_scores[:, :, None] + proposed).reshape(batch_size, -1)
    totals, index = lax.top_k(totals, min(2 * beam_size, totals.shape[1]))
    tokens = jnp.take_along_axis(tokens.reshape(batch_size, -1), index, axis=1)
    return totals, index // num_proposed, tokens


def _is_done(
    live: _Hypotheses,
    finished: _Hypotheses,
    length: Int[Array, ""],
    limits: Int[Array, " batch"],
    length_penalty: LengthPenalty,
) -> Bool[Array, " batch"]:
    """Whether nothing that a sentence may still find would change its result."""
    best_live = live.scores[:, 0]
    if live.scores.shape[1] == 1:
        cannot_improve = (finished.scores[:, 0] > -jnp.inf) | (best_live == -jnp.inf)
    else:
        attainable = best_live / length_penalty(jnp.maximum(limits, 1))
        cannot_improve = attainable <= finished.scores[:, -1]
    return cannot_improve | (length >= limits)


def _ranked(state: _State, pad_id: int, length_penalty: LengthPenalty) -> BeamResult:
    """Finished hypotheses, then what has reached its length limit, then nothing."""
    beam_size = state.tokens.shape[1]
    is_live = (state.live.scores > -jnp.inf) & (state.live.lengths > 0)
    penalties = length_penalty(jnp.maximum(state.live.lengths, 1))
    unfinished = state.live._replace(
        scores=jnp.where(is_live, state.live.scores / penalties, -jnp.inf)
    )
    candidates = _concatenate(state.finished, unfinished)
    exists = candidates.scores > -jnp.inf
    # Both halves are sorted, so a stable sort need only move what exists to the front.
    order = jnp.argsort(~exists, axis=1, stable=True)[:, :beam_size]
    best, exists = _gather((candidates, exists), order)
    return BeamResult(
        sequences=jnp.where(exists[:, :, None], best.sequences, pad_id),
        scores=jnp.where(exists, best.scores, -jnp.inf),
        lengths=jnp.where(exists, best.lengths, 0),
        finished=exists & (order < beam_size),
        num_steps=state.num_steps,
    )


def _concatenate(first: _Hypotheses, second: _Hypotheses) -> _Hypotheses:
    return jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), first, second)


@jax.vmap
def _gather(tree: Any, index: Int[Array, " chosen"]) -> Any:
    """Every leaf `[batch, beam, ...]` with its beam axis as index `[batch, chosen]`."""
    # The default mode would mask every element against an index out of bounds.
    return jax.tree.map(lambda leaf: leaf.at[index].get(mode="promise_in_bounds"), tree)


@jax.vmap
def _select(condition: Bool[Array, ""], if_true: Any, if_false: Any) -> Any:
    """For each sentence one of two trees of `[batch, ...]` leaves."""
    return jax.tree.map(
        lambda first, second: jnp.where(condition, first, second), if_true, if_false
    )
