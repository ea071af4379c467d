"""Decoder parameters for steps of decoding: one set a layer, fused and cast.

A step computes one position, so much of its time goes into reading parameters. They
are therefore unstacked, fused and cast once, before the loop.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from transformer_jax.model.params import Params


class StepWeights(NamedTuple):
    """Parameters that `Transformer.decode_step` reads."""

    layers: tuple[Params, ...]
    """One for each decoder layer; query, key and value share one projection."""
    output_matrix: Array  # [vocab, d_model]


def make_step_weights(
    layers: Iterable[PyTree], output_matrix: Array, dtype: str
) -> StepWeights:
    """Returns the parameters of a step, matrices cast to `dtype`.

    Args:
        layers: parameters of each decoder layer.
    """

    def cast(leaf: Array) -> Array:
        return leaf if leaf.ndim == 1 else leaf.astype(dtype)

    return StepWeights(
        layers=tuple(
            jax.tree.map(
                cast,
                {**params, "self_attention": _fuse(params["self_attention"])},
            )
            for params in layers
        ),
        output_matrix=cast(output_matrix),
    )


def _fuse(params: PyTree) -> Params:
    """Returns the parameters of a self-attention with its three projections fused.

    For few positions, one wide product is faster than three. The result is
    `[query, key, value]` of the first head, then of the second, and so on.
    """
    kernels = [params[name]["kernel"] for name in ("query", "key", "value")]
    merged = {"kernel": jnp.concatenate(kernels, axis=-1)}
    return {"query_key_value": merged, "output": params["output"]}
