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
fall with length, so its score q / penalty(n) <= p / penalty(n) <= p / penalty(m); a
coverage penalty adds at most 0. Once that bound, for the best live p, does not exceed
the worst of the n best finished scores, no later hypothesis can enter the n best: the
sentence is done. Until n have finished, that worst score is minus infinity.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.continuations import propose_continuations
from transformer_jax.decoding.history import (
    History,
    add_own_place,
    advance_history,
    gather,
)
from transformer_jax.decoding.search_state import (
    BeamResult,
    Hypotheses,
    Search,
    SearchState,
    concatenate,
    empty_state,
)
from transformer_jax.errors import InputError

Cache = Any


@runtime_checkable
class Step(Protocol):
    """Extends every live hypothesis by one token: the model, as the search sees it.

    Receives the last token of each hypothesis and its position, from 0; the cache; and
    where in the cache the tokens before it are (`decoding.history`): the search never
    moves the cache. Returns the logits of the next token, the cache with this
    position written into `history.slot`, and, where the settings have a coverage
    penalty, the attention to the source, `[batch, beam, source]`, else None.
    """

    def __call__(
        self,
        tokens: Int[Array, "batch beam"],
        positions: Int[Array, " batch"],
        history: History,
        cache: Cache,
    ) -> tuple[Float[Array, "batch beam vocab"], Cache, Array | None]: ...


def beam_search(
    step: Step,
    cache: Cache,
    initial_tokens: Int[Array, " batch"],
    settings: DecodingConfig,
    *,
    max_length: int,
    eos_id: int,
    pad_id: int,
    max_lengths: Int[Array, " batch"] | None = None,
    prefixes: Int[Array, "batch prefix"] | None = None,
    coverage: Float[Array, "batch source"] | None = None,
    rng: Array | None = None,
    num_results: int | None = None,
) -> BeamResult:
    """Returns the best continuations of the initial tokens, best first.

    To be called inside `jax.jit`. The loop ends as soon as every sentence is done. On
    several devices, call it inside `jax.shard_map` over the batch (`check_vma=False`):
    no sentence needs another, and some compilers gather a sharded `top_k`.

    Args:
        step: the model.
        cache: what `step` has to remember: `max_length` slots of beam_size places.
        initial_tokens: what `step` reads at position 0, usually begin-of-sentence.
        settings: of the search; sizes of batches and sources do not matter here.
        max_length: most tokens of any output, EOS included.
        eos_id: the token that ends a hypothesis.
        pad_id: what fills the sequences after their end.
        max_lengths: most tokens of each sentence's output, where that is less than
            `max_length`. At 0 a sentence costs no step and has no hypothesis, which
            suits rows that only fill up a batch.
        prefixes: what each output begins with, filled up with -1.
        coverage: for a coverage penalty: 1 where the source is padding, else 0.
        rng: for sampling: a key for each sentence.
        num_results: hypotheses that matter, the others may not be the best ones; None
            = all of them.

    Raises:
        InputError: for sizes that cannot be, or an argument the settings need.

    Paper: section 6.1: beam 4, length penalty of alpha 0.6, at most 50 tokens more
    than the source, ending early where possible.

    Differs from the paper: in the reference, any EOS among the 2 * beam_size best
    continuations finishes, its beam of one is not greedy search, and unfinished
    hypotheses never fill up a list that has a finished one.
    """
    _check(settings, max_length, coverage, rng, num_results)
    search = Search(
        settings=settings,
        eos_id=eos_id,
        pad_id=pad_id,
        num_results=num_results or settings.beam_size,
    )
    limits = jnp.full(initial_tokens.shape, max_length, jnp.int32)
    if max_lengths is not None:
        limits = jnp.minimum(limits, max_lengths.astype(jnp.int32))
    initial = empty_state(
        cache, initial_tokens, limits, search.settings, pad_id,
        slots=max_length, max_length=max_length, prefixes=prefixes,
        coverage=coverage, rng=rng,
    )  # fmt: skip
    final = lax.while_loop(
        lambda state: ~jnp.all(state.done),
        lambda state: advance(state, step, search),
        initial,
    )
    return rank_hypotheses(final, search)


def _check(
    settings: DecodingConfig,
    max_length: int,
    coverage: Array | None,
    rng: Array | None,
    num_results: int | None,
) -> None:
    if max_length < 1:
        raise InputError(f"max_length={max_length} must be at least 1.")
    if num_results is not None and not 1 <= num_results <= settings.beam_size:
        raise InputError(
            f"num_results={num_results} must be between 1 and "
            f"decoding.beam_size={settings.beam_size}."
        )
    if settings.sampling and rng is None:
        raise InputError("decoding.sampling=true needs rng, a key for each sentence.")
    if settings.coverage_penalty and coverage is None:
        raise InputError(
            f"decoding.coverage_penalty={settings.coverage_penalty} needs coverage: 1 "
            "where the source is padding, else 0."
        )


def advance(state: SearchState, step: Step, search: Search) -> SearchState:
    """The state one position later; sentences that are done keep their hypotheses."""
    history = add_own_place(state.history)
    logits, cache, attention = step(state.tokens, state.positions, history, state.cache)
    totals, parents, tokens = propose_continuations(state, logits, search)
    coverage = None
    if state.coverage is not None and attention is not None:
        coverage = state.coverage + attention
    is_eos = tokens == search.eos_id
    lengths = state.positions + 1

    scores, order = lax.top_k(
        jnp.where(is_eos, -jnp.inf, totals), search.settings.beam_size
    )
    live_parents, live_tokens = gather((parents, tokens), order)
    live = _extend(state, live_parents, live_tokens, scores)

    ended = _finish(state, totals, parents, tokens, coverage, search)
    finished = concatenate(state.finished, ended)
    finished = gather(
        finished, lax.top_k(finished.scores, search.settings.beam_size)[1]
    )

    live, finished = _select(state.done, (state.live, state.finished), (live, finished))
    if coverage is not None:
        followed_coverage = gather(coverage, live_parents)
        coverage = _select(state.done, state.coverage, followed_coverage)
    return state._replace(
        positions=jnp.where(state.done, state.positions, lengths),
        done=state.done | _is_done(live, finished, lengths, state.limits, search),
        tokens=live_tokens,
        live=live,
        finished=finished,
        coverage=coverage,
        history=advance_history(history, live_parents),
        cache=cache,
    )


def _extend(
    state: SearchState, parents: Array, tokens: Array, scores: Array
) -> Hypotheses:
    """Hypotheses that go on from live ones by one token each."""
    sequences = gather(state.live.sequences, parents)
    is_now = jnp.arange(sequences.shape[-1])[None] == state.positions[:, None]
    return Hypotheses(
        scores=scores,
        sequences=jnp.where(is_now[:, None], tokens[:, :, None], sequences),
        lengths=jnp.broadcast_to(state.positions[:, None] + 1, tokens.shape),
    )


def _finish(
    state: SearchState,
    totals: Array,
    parents: Array,
    tokens: Array,
    coverage: Array | None,
    search: Search,
) -> Hypotheses:
    """Those of the first beam_size continuations that are EOS; -inf the others."""
    first = (slice(None), slice(search.settings.beam_size))
    totals, parents, tokens = totals[first], parents[first], tokens[first]
    coverage = None if coverage is None else gather(coverage, parents)
    scores = search.score(totals, state.positions[:, None] + 1, coverage)
    scores = jnp.where(tokens == search.eos_id, scores, -jnp.inf)
    return _extend(state, parents, tokens, scores)


def _is_done(
    live: Hypotheses,
    finished: Hypotheses,
    lengths: Int[Array, " batch"],
    limits: Int[Array, " batch"],
    search: Search,
) -> Bool[Array, " batch"]:
    """Whether nothing that a sentence may still find would change its result."""
    settings = search.settings
    best_live = live.scores[:, 0]
    nothing_lives = ~jnp.any(live.scores > -jnp.inf, axis=1)
    if settings.sampling:
        certain = nothing_lives
    elif settings.beam_size == 1 or settings.early_stopping == "first":
        certain = finished.scores[:, -1] > -jnp.inf
    else:
        attainable = search.score(best_live[:, None], limits[:, None], None)[:, 0]
        certain = attainable <= finished.scores[:, search.num_results - 1]
    return certain | nothing_lives | (lengths >= limits)


def rank_hypotheses(state: SearchState, search: Search) -> BeamResult:
    """Finished hypotheses, then what has reached its length limit, then nothing."""
    is_live = (state.live.scores > -jnp.inf) & (state.live.lengths > 0)
    scores = search.score(state.live.scores, state.live.lengths, state.coverage)
    unfinished = state.live._replace(scores=jnp.where(is_live, scores, -jnp.inf))
    candidates = concatenate(state.finished, unfinished)
    exists = candidates.scores > -jnp.inf
    # Finished ones before others, and each kind best first: what does not exist last.
    beam_size = search.settings.beam_size
    kind = jnp.arange(2 * beam_size)[None] >= beam_size
    order = jnp.lexsort(
        (-candidates.scores, jnp.broadcast_to(kind, exists.shape), ~exists)
    )
    order = order[:, : search.num_results]
    best, exists = gather((candidates, exists), order)
    return BeamResult(
        sequences=jnp.where(exists[:, :, None], best.sequences, search.pad_id),
        scores=jnp.where(exists, best.scores, -jnp.inf),
        lengths=jnp.where(exists, best.lengths, 0),
        finished=exists & (order < beam_size),
        num_steps=state.positions,
    )


@jax.vmap
def _select(condition: Bool[Array, ""], if_true: Any, if_false: Any) -> Any:
    """For each sentence one of two trees of `[batch, ...]` leaves."""
    return jax.tree.map(
        lambda first, second: jnp.where(condition, first, second), if_true, if_false
    )
