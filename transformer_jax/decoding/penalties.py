"""Length penalties by name: how hypotheses of different lengths compare.

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
"""Lengths, at least 1, to what their log-probabilities are divided by: at least 1,
and no smaller for a longer sequence. Beam search stops early on that promise."""


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
    """Returns the length penalty of that name, a function of the output's length.

    `gnmt` is `((5 + length) / 6) ** alpha`, `length` is `length ** alpha`, `none` is
    1. The same alpha is a different objective under `gnmt` and under `length`.
    Equal arguments give the same function object, so that it may be a static
    argument of a jitted function without tracing it anew.

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
    """Returns GNMT's penalty for source tokens left out: at most 0, added to a score.

    `beta * sum over source tokens of log(min(attention to it, 1))`.

    Args:
        coverage: what each source token has got of attention over all output tokens,
            end-of-sentence included; 1 where there is padding. Attention is that of
            the last decoder layer, the mean over its heads.

    Differs from the paper: it has none. It is of Wu et al. 2016, section 7.
    """
    least = jnp.finfo(jnp.float32).tiny
    return beta * jnp.sum(jnp.log(jnp.clip(coverage, least, 1.0)), axis=-1)
