"""Sums and weights of a run, merged, and divided once at the end."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array


def batch_counts(source_segments: Array, target_segments: Array) -> dict[str, Array]:
    """Returns how many source and target tokens of a batch are real, and of how many.

    Shapes `[rows, length]`; segment 0 is padding. Counts are float32, exact up to 2^24.
    """
    return {
        "source_tokens": jnp.sum(source_segments != 0, dtype=jnp.float32),
        "target_tokens": jnp.sum(target_segments != 0, dtype=jnp.float32),
        "source_slots": jnp.float32(source_segments.size),
        "target_slots": jnp.float32(target_segments.size),
    }


def merge(first: Mapping, second: Mapping) -> dict:
    """Returns the sums of both, entry by entry."""
    return jax.tree.map(lambda a, b: a + b, dict(first), dict(second))


def summarize(sums: Mapping[str, float]) -> dict[str, float]:
    """Returns the means of merged sums: loss, nll, perplexity, fill.

    Loss and nll are nats per target token; perplexity is per subword, so it compares
    models of one vocabulary only. Fill is the part of all source and target positions
    that holds real tokens.
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
