"""State and result of a beam search."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.bracket_grammar import BracketGrammar, OpenBrackets
from transformer_jax.decoding.history import History, empty_history
from transformer_jax.decoding.penalties import coverage_penalty, make_length_penalty


@dataclass(frozen=True, kw_only=True)
class Search:
    """The constants of a search."""

    settings: DecodingConfig
    eos_id: int
    """The token that ends a hypothesis."""
    pad_id: int
    """The token that fills sequences after their end."""
    num_results: int
    """Length of the n-best list. The search ends when these hypotheses are final."""
    grammar: BracketGrammar | None = None
    """What outputs must be."""

    def score(
        self, totals: Array, lengths: Array, coverage: Array | None
    ) -> Float[Array, "batch n"]:
        """Returns the scores by which hypotheses are ranked.

        Args:
            totals: log-probabilities, `[batch, n]`.
            lengths: `[batch, n]`, or `[batch, 1]` if all are equal.
            coverage: summed attention to the source, `[batch, n, source]`; None = no
                coverage penalty.
        """
        settings = self.settings
        penalty = make_length_penalty(
            settings.length_penalty, settings.length_penalty_alpha
        )
        scores = totals / penalty(jnp.maximum(lengths, 1))
        if coverage is not None:
            scores += coverage_penalty(coverage, settings.coverage_penalty)
        return scores


class Hypotheses(NamedTuple):
    """Up to beam_size hypotheses of each sentence.

    The score of a live hypothesis is its log-probability. Unused places have score
    minus infinity.
    """

    scores: Array  # float32 [batch, beam]
    sequences: Array  # int32 [batch, beam, max_length]
    lengths: Array  # int32 [batch, beam]


def concatenate(first: Hypotheses, second: Hypotheses) -> Hypotheses:
    """Returns the hypotheses of both, concatenated along the beam axis."""
    return Hypotheses(
        *(jnp.concatenate(pair, axis=1) for pair in zip(first, second, strict=True))
    )


class SearchState(NamedTuple):
    """The state of a search between two steps. Every leaf is `[batch, ...]`.

    Sentences may be at different positions: in continuous batching, a new sentence
    takes the row of a finished one.
    """

    positions: Array  # int32 [batch]: length of the live hypotheses
    limits: Array  # int32 [batch]: maximum length
    done: Array  # bool [batch]
    tokens: Array  # int32 [batch, beam]: last tokens of the live hypotheses
    live: Hypotheses
    finished: Hypotheses
    prefixes: Array | None  # int32 [batch, prefix]: forced first tokens, padded with -1
    coverage: Array | None  # float32 [batch, beam, source]: summed attention
    rng: Array | None  # keys [batch]
    brackets: OpenBrackets | None  # with a grammar
    history: History
    cache: PyTree


class BeamResult(NamedTuple):
    """The n-best list of each sentence.

    Finished hypotheses come first, best first. Unfinished ones, cut off at the length
    limit of the sentence, follow, best first. Places without a hypothesis (fewer than n
    exist, or log-probabilities were NaN) have length 0 and score minus infinity.

    Example:
        >>> import numpy as np
        >>> scores, lengths = np.array([[-0.5]]), np.array([[3]])
        >>> found = tj.BeamResult(
        ...     np.array([[[7, 8, 1, 0]]]), scores, lengths, lengths == 3, np.array([3])
        ... )
        >>> found.sequences[0, 0, : found.lengths[0, 0]].tolist()
        [7, 8, 1]
    """

    sequences: Array  # int32 [batch, n, max_length]: no BOS, EOS if finished, padding
    scores: Array  # float32 [batch, n]: log-probability / penalty(length)
    lengths: Array  # int32 [batch, n]: tokens before padding, EOS included
    finished: Array  # bool [batch, n]: ends in EOS
    num_steps: Array  # int32 [batch]: steps until the sentence was done


def empty_state(
    cache: PyTree,
    initial_tokens: Int[Array, " batch"],
    limits: Int[Array, " batch"],
    settings: DecodingConfig,
    pad_id: int,
    *,
    slots: int,
    max_length: int,
    prefixes: Array | None = None,
    coverage: Array | None = None,
    rng: Array | None = None,
    brackets: OpenBrackets | None = None,
) -> SearchState:
    """Returns the state with one empty hypothesis a sentence; beam_size in sampling.

    Arguments as in `beam_search`.
    """
    batch, beam = initial_tokens.shape[0], settings.beam_size
    empty = Hypotheses(
        scores=jnp.full((batch, beam), -jnp.inf, jnp.float32),
        sequences=jnp.full((batch, beam, max_length), pad_id, jnp.int32),
        lengths=jnp.zeros((batch, beam), jnp.int32),
    )
    # One: equal hypotheses would stay equal without sampling.
    beginning = jnp.zeros_like(empty.scores)
    if not settings.sampling:
        beginning = empty.scores.at[:, 0].set(0.0)
    return SearchState(
        positions=jnp.zeros_like(limits),
        limits=limits,
        done=limits <= 0,
        tokens=jnp.tile(initial_tokens.astype(jnp.int32)[:, None], (1, beam)),
        live=empty._replace(scores=beginning),
        finished=empty,
        prefixes=prefixes,
        coverage=None if coverage is None else jnp.repeat(coverage[:, None], beam, 1),
        rng=rng,
        brackets=brackets,
        history=empty_history(batch, beam, slots),
        cache=cache,
    )
