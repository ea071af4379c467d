"""Decoder parameters for steps of decoding: one set a layer, fused and cast.

A step computes one position, so much of its time goes into reading parameters. They
are therefore unstacked, fused and cast once, before the loop.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from transformer_jax.model.params import Params


class StepWeights(NamedTuple):
    """Parameters that `Transformer.decode_step` reads."""

    layers: tuple[Params, ...]
    """One for each decoder layer; query, key and value share one projection."""
    output_matrix: Array  # [vocab, d_model]
    output_bias: Array | None  # float32 [vocab]


def make_step_weights(
    layers: Iterable[PyTree],
    output_matrix: Array,
    output_bias: Array | None,
    dtype: str,
) -> StepWeights:
    """Returns the parameters of a step, matrices cast to `dtype`.

    Args:
        layers: parameters of each decoder layer.
    """

    def cast(path: tuple[Any, ...], leaf: Array) -> Array:
        return leaf.astype(dtype) if path[-1].key == "kernel" else leaf

    return StepWeights(
        layers=tuple(
            jax.tree_util.tree_map_with_path(
                cast,
                {**params, "self_attention": _fuse(params["self_attention"])},
            )
            for params in layers
        ),
        output_matrix=output_matrix.astype(dtype),
        output_bias=output_bias,
    )


def _fuse(params: PyTree) -> Params:
    """Returns the parameters of a self-attention with its three projections fused.

    For few positions, one wide product is faster than three. The result is
    `[query, key, value]` of the first head, then of the second, and so on.
    """
    parts = [params[name] for name in ("query", "key", "value")]
    merged = {
        name: jnp.concatenate([part[name] for part in parts], axis=-1)
        for name in parts[0]  # Kernel, and bias where they have one.
    }
    return {"query_key_value": merged, "output": params["output"]}
