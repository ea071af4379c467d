"""The decoder's parameters as a step of decoding reads them.

A step handles one position, so reading its parameters takes longer than much of what it
computes: they are cut out of the stack, joined and cast once, before the loop.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class StepWeights(NamedTuple):
    """Parameters in the dtype a step computes in."""

    layers: tuple[Any, ...]
    """Of each decoder layer, with one projection for query, key and value."""
    output_matrix: Array


def make_step_weights(
    layers: Iterable[dict[str, Any]], output_matrix: Array, dtype: Any
) -> StepWeights:
    """Returns them from the parameters of each layer; vectors keep their dtype."""

    def cast(leaf: Array) -> Array:
        return leaf if leaf.ndim == 1 else leaf.astype(dtype)

    return StepWeights(
        layers=tuple(
            jax.tree.map(
                cast,
                {**params, "self_attention": _with_one(params["self_attention"])},
            )
            for params in layers
        ),
        output_matrix=cast(output_matrix),
    )


def _with_one(params: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a self-attention with one projection for three.

    Query, key and value of a head side by side: of few positions one product is faster.
    """
    kernels = [params[name]["kernel"] for name in ("query", "key", "value")]
    merged = {"kernel": jnp.concatenate(kernels, axis=-1)}
    return {"query_key_value": merged, "output": params["output"]}
