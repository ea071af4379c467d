"""Sums of losses and counts of tokens over batches, and their means at the end."""

import math
import operator
from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

_Sum = TypeVar("_Sum", float, Array)


def count_tokens(
    source_segments: Int[Array, "rows source"],
    target_segments: Int[Array, "rows target"],
) -> dict[str, Array]:
    """Returns the numbers of real tokens (`*_tokens`) and of positions (`*_slots`).

    Segment 0 is padding. Counts are float32, exact up to 2^24.
    """
    return {
        "source_tokens": jnp.sum(source_segments != 0, dtype=jnp.float32),
        "target_tokens": jnp.sum(target_segments != 0, dtype=jnp.float32),
        "source_slots": jnp.float32(source_segments.size),
        "target_slots": jnp.float32(target_segments.size),
    }


def add_sums(first: Mapping[str, _Sum], second: Mapping[str, _Sum]) -> dict[str, _Sum]:
    """Returns the sum of both, entry by entry."""
    total: dict[str, _Sum] = jax.tree.map(operator.add, dict(first), dict(second))
    return total


def mean_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Returns the means of added sums: loss, nll, perplexity, fill.

    Loss and nll are in nats per target token. Perplexity is per subword: compare it
    between models with the same vocabulary only. Fill is the share of all source and
    target positions that hold real tokens.

    Args:
        sums: those of `make_evaluation_step`, added over the batches.

    Example:
        >>> counts = {"source_tokens": 3, "source_slots": 4, "target_slots": 4}
        >>> sums = {"loss": 6.0, "nll": 4.0, "target_tokens": 2, **counts}
        >>> means = tj.mean_metrics(sums)
        >>> means["loss"], means["nll"], means["fill"]
        (3.0, 2.0, 0.625)
    """
    tokens = max(float(sums["target_tokens"]), 1.0)
    nll = float(sums["nll"]) / tokens
    return {
        "loss": float(sums["loss"]) / tokens,
        "nll": nll,
        "perplexity": math.exp(min(nll, 700.0)),  # exp(710) overflows a float64
        "fill": _fill(sums),
    }


def _fill(sums: Mapping[str, float]) -> float:
    real, slots = (
        sum(float(sums[f"{side}_{kind}"]) for side in ("source", "target"))
        for kind in ("tokens", "slots")
    )
    return real / max(slots, 1.0)
