"""Length penalty and coverage penalty of beam search scores.

A hypothesis scores `log P / penalty(length)`. Its length is the number of output
tokens, end-of-sentence included, begin-of-sentence not. Log-probabilities are
negative, so a penalty that grows with length helps long hypotheses.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from transformer_jax.errors import InputError

LengthPenalty = Callable[[Int[Array, "..."] | int], Float[Array, "..."]]
"""Maps lengths (>= 1) to divisors of log-probabilities. Divisors are >= 1 and never
decrease with length; early stopping relies on both."""


def _gnmt(length: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    return ((5.0 + length) / 6.0) ** alpha


def _length(length: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    return length**alpha


def _none(length: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    del alpha
    return jnp.ones_like(length)


_PENALTIES = {"gnmt": _gnmt, "length": _length, "none": _none}


@functools.cache
def make_length_penalty(name: str, alpha: float = 0.6) -> LengthPenalty:
    """Returns the length penalty `name` as a function of the output length.

    `gnmt` is `((5 + length) / 6) ** alpha`, `length` is `length ** alpha`, `none` is
    1. The same alpha is a different objective under `gnmt` and under `length`.
    Equal arguments give the same function object, so it can be a static argument of a
    jitted function without recompilation.

    Raises:
        InputError: for an unknown name, or an alpha below 0, which would reward
            short outputs and void the early stop of beam search.

    Paper: section 6.1: `gnmt` with alpha 0.6.
    """
    if name not in _PENALTIES:
        raise InputError(
            f"decoding.length_penalty={name!r} is unknown: use one of "
            f"{', '.join(map(repr, _PENALTIES))}."
        )
    if not alpha >= 0:
        raise InputError(
            f"decoding.length_penalty_alpha={alpha} must be at least 0: use "
            "decoding.length_penalty='none' for no penalty."
        )

    def length_penalty(length: Int[Array, "..."] | int) -> Float[Array, "..."]:
        return _PENALTIES[name](jnp.asarray(length, jnp.float32), alpha)

    return length_penalty


def coverage_penalty(
    coverage: Float[Array, "*batch source"], beta: float
) -> Float[Array, "*batch"]:
    """Returns GNMT's coverage penalty, a term of the score that is at most 0.

    It lowers the score of hypotheses that leave source tokens untranslated:

    `beta * sum over source tokens of log(min(attention to it, 1))`.

    Args:
        coverage: attention to each source token, summed over all output tokens,
            end-of-sentence included; 1 at padding. Attention is the mean over the
            heads of the last decoder layer.

    Differs from the paper, which has none: see Wu et al. 2016, section 7.
    """
    least = jnp.finfo(jnp.float32).tiny
    return beta * jnp.sum(jnp.log(jnp.clip(coverage, least, 1.0)), axis=-1)
