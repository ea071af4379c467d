"""What a search knows of each sentence while it runs, and what it returns."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.history import History, empty_history
from transformer_jax.decoding.penalties import coverage_penalty, make_length_penalty


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is the same at every position of a search."""

    settings: DecodingConfig
    eos_id: int
    """The token that ends a hypothesis."""
    pad_id: int
    """What fills sequences after their end."""
    num_results: int
    """How many of the hypotheses matter: the search ends when these are certain."""

    def score(
        self, totals: Array, lengths: Array, coverage: Array | None
    ) -> Float[Array, "batch n"]:
        """Returns what hypotheses are compared by."""
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

    The score of a live one is its log-probability; where there is none, -inf.
    """

    scores: Array  # float32 [batch, beam]
    sequences: Array  # int32 [batch, beam, max_length]
    lengths: Array  # int32 [batch, beam]


def concatenate(first: Hypotheses, second: Hypotheses) -> Hypotheses:
    """Returns the hypotheses of both, side by side."""
    return jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), first, second)


class SearchState(NamedTuple):
    """A search between two positions. Every leaf is `[batch, ...]`.

    Sentences may stand at different positions, as one may take another's place.
    """

    positions: Array  # int32 [batch]: tokens of the live hypotheses
    limits: Array  # int32 [batch]: the most they may have
    done: Array  # bool [batch]
    tokens: Array  # int32 [batch, beam]: the last ones of the live hypotheses
    live: Hypotheses
    finished: Hypotheses
    prefixes: Array | None  # int32 [batch, prefix]: what outputs begin with, -1 filled
    coverage: Array | None  # float32 [batch, beam, source]: attention so far
    rng: Array | None  # a key for each sentence
    history: History
    cache: Any


class BeamResult(NamedTuple):
    """The n-best list of each sentence.

    Finished hypotheses come first, best first; places they leave free go to
    unfinished ones, cut off at the sentence's length limit, best first. So the first
    place is unfinished only where nothing has finished. Where fewer than n hypotheses
    exist (or log-probabilities were NaN), the last places hold none: length 0, score
    minus infinity.
    """

    sequences: Array  # int32 [batch, n, max_length]: no BOS, EOS if finished, padding
    scores: Array  # float32 [batch, n]: log-probability / penalty(length)
    lengths: Array  # int32 [batch, n]: tokens before padding, EOS included
    finished: Array  # bool [batch, n]: ends in EOS
    num_steps: Array  # int32 [batch]: positions computed until the sentence was done


def empty_state(
    cache: Any,
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
) -> SearchState:
    """Returns the state in which every sentence has one empty hypothesis.

    In sampling beam_size of them. Arguments as of `beam_search`.
    """
    batch, beam = initial_tokens.shape[0], settings.beam_size
    empty = Hypotheses(
        scores=jnp.full((batch, beam), -jnp.inf, jnp.float32),
        sequences=jnp.full((batch, beam, max_length), pad_id, jnp.int32),
        lengths=jnp.zeros((batch, beam), jnp.int32),
    )
    # One, not beam_size equal ones: copies would never part, but by chance.
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
        history=empty_history(batch, beam, slots),
        cache=cache,
    )
