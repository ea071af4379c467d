"""Beam search over a step function, independent of the model.

The search keeps, for each sentence, the `beam_size` best live hypotheses, which can
still grow, and the `beam_size` best finished ones, which end in end-of-sentence (EOS).
At every position each live hypothesis is continued by every token:

* of the 2 * beam_size most probable continuations, those among the first beam_size
  that are EOS become finished;
* the beam_size best that are not EOS are the next live ones. At most beam_size of
  the continuations are EOS, so there are always enough.

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

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.bracket_grammar import (
    BracketGrammar,
    no_brackets,
    write_tokens,
)
from transformer_jax.decoding.continuations import Continuations, propose_continuations
from transformer_jax.decoding.history import (
    add_own_place,
    advance_history,
    gather,
)
from transformer_jax.decoding.search_arguments import check_arguments
from transformer_jax.decoding.search_state import (
    BeamResult,
    Hypotheses,
    Search,
    SearchState,
    concatenate,
    empty_state,
)
from transformer_jax.decoding.step import Cache, Step
from transformer_jax.errors import InputError

_Tree = TypeVar("_Tree")


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
    grammar: BracketGrammar | None = None,
    num_leaves: Int[Array, " batch"] | None = None,
) -> BeamResult:
    """Returns the n-best list of each sentence, best first.

    Call it inside `jax.jit`. The loop ends when every sentence is done. On several
    devices, call it inside `jax.shard_map` over the batch (`check_vma=False`):
    sentences are independent, and some compilers gather a sharded `top_k`.

    Args:
        step: the model: `(tokens [batch, beam], positions [batch], history, cache) ->
            (logits [batch, beam, vocab], cache, attention)`, see `decoding/step.py`.
        cache: its first cache, with `max_length` slots of beam_size places.
        initial_tokens: the input at position 0, usually begin-of-sentence.
        settings: beam size, penalties, constraints, sampling. The sizes of batches and
            sources are not used.
        max_length: maximum number of tokens of any output, EOS included.
        eos_id: the token that ends a hypothesis.
        pad_id: the token that fills the sequences after their end.
        max_lengths: maximum number of tokens of each sentence's output, at most
            `max_length`. Use 0 for rows that only fill up a batch: they cost no step
            and have no hypothesis.
        prefixes: the forced first tokens of each output, padded with -1.
        coverage: for a coverage penalty: 1 where the source is padding, else 0.
        rng: for sampling: a key for each sentence.
        num_results: length n of the list, 1 to beam_size; None = beam_size.
        grammar: outputs are trees, written as tokens that open and close brackets.
        num_leaves: leaves of each output's tree, where there is a grammar; fewer than
            its maximum length. An output that ends has exactly so many, and every
            output does end, if a hypothesis has a probability above 0.

    Raises:
        InputError: a size is out of range, or the settings need an argument that is
            missing (`rng`, `coverage`, `num_leaves`).

    Example:
        A model whose next token depends on the last one only:

        >>> import jax.numpy as jnp
        >>> import transformer_jax as tj
        >>> bos, eos = 0, 1
        >>> probabilities = jnp.array(
        ...     [
        ...         [0.0, 0.0, 0.6, 0.4],  # after begin-of-sentence
        ...         [0.0, 1.0, 0.0, 0.0],  # after end-of-sentence
        ...         [0.0, 0.4, 0.4, 0.2],  # after 2
        ...         [0.0, 0.9, 0.1, 0.0],  # after 3
        ...     ]
        ... )
        >>> def step(tokens, positions, history, cache):
        ...     return jnp.log(probabilities)[tokens], cache, None
        >>> result = tj.beam_search(
        ...     step,
        ...     cache={},
        ...     initial_tokens=jnp.array([bos]),
        ...     settings=tj.DecodingConfig(beam_size=2, length_penalty="none"),
        ...     max_length=3,
        ...     eos_id=eos,
        ...     pad_id=0,
        ... )
        >>> result.sequences.tolist()
        [[[3, 1, 0], [2, 1, 0]]]
        >>> [round(p, 2) for p in jnp.exp(result.scores[0]).tolist()]
        [0.36, 0.24]

    Paper: section 6.1: beam 4, length penalty of alpha 0.6, at most 50 tokens more
    than the source, ending early where possible.

    Differs from the paper: its reference implementation accepts any EOS among the
    2 * beam_size best continuations, so its beam of one is not greedy search, and its
    list has no unfinished hypotheses if one has finished.
    """
    check_arguments(settings, max_length, coverage, rng, num_results)
    brackets = None
    if grammar is not None:
        if num_leaves is None:
            raise InputError("grammar needs num_leaves, the leaves of each tree.")
        brackets = no_brackets(grammar, num_leaves, settings.beam_size)
    search = Search(
        settings=settings,
        eos_id=eos_id,
        pad_id=pad_id,
        num_results=num_results or settings.beam_size,
        grammar=grammar,
    )
    limits = jnp.full(initial_tokens.shape, max_length, jnp.int32)
    if max_lengths is not None:
        limits = jnp.minimum(limits, max_lengths.astype(jnp.int32))
    initial = empty_state(
        cache, initial_tokens, limits, search.settings, pad_id,
        slots=max_length, max_length=max_length, prefixes=prefixes,
        coverage=coverage, rng=rng, brackets=brackets,
    )  # fmt: skip
    final = lax.while_loop(
        lambda state: ~jnp.all(state.done),
        lambda state: advance(state, step, search),
        initial,
    )
    return rank_hypotheses(final, search)


def advance(state: SearchState, step: Step, search: Search) -> SearchState:
    """Returns the state one step later; done sentences keep their hypotheses."""
    history = add_own_place(state.history)
    logits, cache, attention = step(state.tokens, state.positions, history, state.cache)
    proposed = propose_continuations(state, logits, search)
    coverage = None
    if state.coverage is not None and attention is not None:
        coverage = state.coverage + attention
    is_eos = proposed.tokens == search.eos_id
    lengths = state.positions + 1

    scores, order = lax.top_k(
        jnp.where(is_eos, -jnp.inf, proposed.totals), search.settings.beam_size
    )
    live_parents, live_tokens = gather((proposed.parents, proposed.tokens), order)
    live = _extend(state, live_parents, live_tokens, scores)

    finished = concatenate(state.finished, _finish(state, proposed, coverage, search))
    finished = gather(
        finished, lax.top_k(finished.scores, search.settings.beam_size)[1]
    )

    live, finished = _select(state.done, (state.live, state.finished), (live, finished))
    if coverage is not None:
        live_coverage = gather(coverage, live_parents)
        coverage = _select(state.done, state.coverage, live_coverage)
    brackets = state.brackets
    if brackets is not None and search.grammar is not None:
        brackets = write_tokens(
            search.grammar, gather(brackets, live_parents), live_tokens,
            logits.shape[-1], search.eos_id,
        )  # fmt: skip
    return state._replace(
        positions=jnp.where(state.done, state.positions, lengths),
        done=state.done | _is_done(live, finished, lengths, state.limits, search),
        tokens=live_tokens,
        live=live,
        finished=finished,
        coverage=coverage,
        brackets=brackets,
        history=advance_history(history, live_parents),
        cache=cache,
    )


def _extend(
    state: SearchState, parents: Array, tokens: Array, scores: Array
) -> Hypotheses:
    """Returns the live hypotheses `parents`, each extended by one token."""
    sequences = gather(state.live.sequences, parents)
    is_now = jnp.arange(sequences.shape[-1])[None] == state.positions[:, None]
    return Hypotheses(
        scores=scores,
        sequences=jnp.where(is_now[:, None], tokens[:, :, None], sequences),
        lengths=jnp.broadcast_to(state.positions[:, None] + 1, tokens.shape),
    )


def _finish(
    state: SearchState,
    proposed: Continuations,
    coverage: Array | None,
    search: Search,
) -> Hypotheses:
    """Returns the continuations that finish; the score of the rest is minus infinity.

    Those that finish are the EOS among the first beam_size continuations.
    """
    beam_size = search.settings.beam_size
    totals, parents, tokens = (part[:, :beam_size] for part in proposed)
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
    """Returns whether the result of a sentence can no longer change."""
    settings = search.settings
    best_live = live.scores[:, 0]
    none_live = ~jnp.any(live.scores > -jnp.inf, axis=1)
    if settings.sampling:
        certain = none_live
    elif settings.beam_size == 1 or settings.early_stopping == "first":
        certain = finished.scores[:, -1] > -jnp.inf
    else:
        attainable = search.score(best_live[:, None], limits[:, None], None)[:, 0]
        certain = attainable <= finished.scores[:, search.num_results - 1]
    return certain | none_live | (lengths >= limits)


def rank_hypotheses(state: SearchState, search: Search) -> BeamResult:
    """Returns finished hypotheses, then unfinished ones, then empty places."""
    is_live = (state.live.scores > -jnp.inf) & (state.live.lengths > 0)
    scores = search.score(state.live.scores, state.live.lengths, state.coverage)
    unfinished = state.live._replace(scores=jnp.where(is_live, scores, -jnp.inf))
    candidates = concatenate(state.finished, unfinished)
    exists = candidates.scores > -jnp.inf
    # Sorted by existence, then finished before unfinished, then score.
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
def _select(condition: Bool[Array, ""], if_true: _Tree, if_false: _Tree) -> _Tree:
    """Returns one of two trees of `[batch, ...]` leaves for each sentence."""
    selected: _Tree = jax.tree.map(
        lambda first, second: jnp.where(condition, first, second), if_true, if_false
    )
    return selected
