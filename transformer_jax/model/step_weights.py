"""Decoder parameters for steps of decoding: one set a layer, fused and cast.

A step computes one position, so much of its time goes into reading parameters. They
are therefore unstacked, fused and cast once, before the first step.
"""

from collections.abc import Iterable
from typing import NamedTuple

import flax.traverse_util
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from transformer_jax.model.matrix_product import TRANSPOSED
from transformer_jax.model.params import Params

# Numbers of the smallest kernel that is transposed. Smaller ones stay in a cache of the
# processor, and gain nothing.
_LARGE_KERNEL = 2**18


class StepWeights(NamedTuple):
    """Parameters that `Transformer.decode_step` reads."""

    layers: tuple[dict[str, Params], ...]
    """The collections of variables of each decoder layer; query, key and value share
    one projection."""
    output_matrix: Array  # [vocab, d_model]
    output_bias: Array | None  # float32 [vocab]


def make_step_weights(
    layers: Iterable[PyTree],
    output_matrix: Array,
    output_bias: Array | None,
    dtype: str,
    *,
    transpose: bool,
) -> StepWeights:
    """Returns the parameters of a step, matrices cast to `dtype`.

    Args:
        layers: parameters of each decoder layer.
        transpose: whether large kernels become the left operands of their products.
    """
    return StepWeights(
        layers=tuple(
            _variables(_read_in_a_step(params), dtype, transpose) for params in layers
        ),
        output_matrix=output_matrix.astype(dtype),
        output_bias=output_bias,
    )


def _read_in_a_step(params: PyTree) -> Params:
    """Returns the parameters of a layer without those of the memory's projection."""
    cross = params["cross_attention"]
    return {
        **params,
        "self_attention": _fuse(params["self_attention"]),
        "cross_attention": {name: cross[name] for name in ("query", "output")},
    }


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


def _variables(params: Params, dtype: str, transpose: bool) -> dict[str, Params]:
    """Returns collections of variables that hold the parameters of a layer."""
    kept, transposed = {}, {}
    for path, leaf in flax.traverse_util.flatten_dict(params).items():
        *_, module, name = path
        if name != "kernel":
            kept[path] = leaf
        elif transpose and leaf.size >= _LARGE_KERNEL:
            # W^O has the heads' axes first, the other projections have them last.
            shape = (-1, leaf.shape[-1]) if module == "output" else (leaf.shape[0], -1)
            transposed[path] = leaf.reshape(shape).T.astype(dtype)
        else:
            kept[path] = leaf.astype(dtype)
    return {
        "params": flax.traverse_util.unflatten_dict(kept),
        TRANSPOSED: flax.traverse_util.unflatten_dict(transposed),
    }
