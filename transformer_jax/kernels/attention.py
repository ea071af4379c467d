"""Fused attention over whole rows: a Pallas kernel for TPUs, forward and backward.

Scores and weights stay in the chip's memory. The kernel reads and writes query, key,
value, the result, and their gradients as `[rows, length, heads * d]`, the layout of the
projections. Only the inputs are stored for the backward pass, which computes the
weights again.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.kernels.attention_passes import (
    Setting,
    backward_pass,
    forward_pass,
)

_Inputs: TypeAlias = tuple[Array, Array, Array, Array, Array]
_Outputs = TypeVar("_Outputs", Array, Sequence[Array])


def attend_rows(
    query: Float[Array, "rows query width_k"],
    key: Float[Array, "rows key width_k"],
    value: Float[Array, "rows key width_v"],
    query_segments: Int[Array, "rows query"],
    key_segments: Int[Array, "rows key"],
    *,
    num_heads: int,
    causal: bool,
    window: int | None,
) -> Float[Array, "rows query width_v"]:
    """Returns `softmax(Q K^T / sqrt(d_k)) V`, for every head at once.

    The last axis is the concatenation of the heads: `width_k = num_heads * d_k`.

    A query attends to keys of its own segment; segment 0 is padding. With `causal`, it
    attends to its own index in the row and earlier ones only; with `window`, to at most
    `window` indices to each side. A query without any legal key (padding) gets zeros
    and has no gradient.

    Under a mesh (`jax.sharding.get_abstract_mesh`) each device computes its own rows
    and heads, by the logical axis rules of BATCH and HEADS. On other platforms than
    TPUs the kernel is interpreted, which is slow and for tests only.

    Raises:
        InputError: the rows are too long for the kernel.

    Paper: section 3.2.1, equation (1); 3.2.2 for the heads.
    """
    setting = Setting(d_k=query.shape[-1] // num_heads, causal=causal, window=window)
    attended: Array = _attend(
        query, key, value, query_segments, key_segments, setting, _current_placement()
    )
    return attended


@dataclass(frozen=True, kw_only=True)
class _Placement:
    """Sharding of the arrays of attention over a mesh."""

    mesh: jax.sharding.AbstractMesh
    segments: Any
    """`PartitionSpec` of `[rows, length]`; only `devices/` may name that type."""
    activations: Any
    """`PartitionSpec` of `[rows, length, heads * d]`."""


def _current_placement() -> _Placement | None:
    """Returns the sharding in force; None = everything on one device."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.are_all_axes_manual:
        return None
    return _Placement(
        mesh=mesh,
        segments=nn.logical_to_mesh_axes((axes.BATCH, axes.LENGTH)),
        activations=nn.logical_to_mesh_axes((axes.BATCH, axes.LENGTH, axes.HEADS)),
    )


# `shard_map` is inside the custom gradient, not around it: the sharding of the
# gradients is then stated, not inferred.
@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _attend(
    query: Array,
    key: Array,
    value: Array,
    query_segments: Array,
    key_segments: Array,
    setting: Setting,
    placement: _Placement | None,
) -> Array:
    inputs = query_segments, key_segments, query, key, value
    attended: Array = _run(forward_pass, inputs, setting, placement)
    return attended


def _attend_forward(
    query: Array,
    key: Array,
    value: Array,
    query_segments: Array,
    key_segments: Array,
    setting: Setting,
    placement: _Placement | None,
) -> tuple[Array, _Inputs]:
    inputs = query, key, value, query_segments, key_segments
    return _attend(*inputs, setting, placement), inputs


def _attend_backward(
    setting: Setting,
    placement: _Placement | None,
    inputs: _Inputs,
    gradient: Array,
) -> tuple[Array, Array, Array, None, None]:
    query, key, value, query_segments, key_segments = inputs
    by_query, by_key, by_value = _run(
        backward_pass,
        (query_segments, key_segments, query, key, value, gradient),
        setting,
        placement,
    )
    return by_query, by_key, by_value, None, None


_attend.defvjp(_attend_forward, _attend_backward)


def _run(
    kernel: Callable[..., _Outputs],
    inputs: tuple[Array, ...],
    setting: Setting,
    placement: _Placement | None,
) -> _Outputs:
    """Runs a kernel, on each device with its own part of the inputs."""

    def run(*inputs: Array) -> _Outputs:
        outputs: _Outputs = jax.lax.platform_dependent(
            *inputs,
            tpu=functools.partial(kernel, setting=setting, interpret=False),
            default=functools.partial(kernel, setting=setting, interpret=True),
        )
        return outputs

    if placement is None:
        return run(*inputs)
    segments: Any = placement.segments
    activations: Any = placement.activations
    outputs: _Outputs = jax.shard_map(
        run,
        mesh=placement.mesh,
        in_specs=(segments, segments, *[activations] * (len(inputs) - 2)),
        out_specs=activations,
        check_vma=False,
    )(*inputs)
    return outputs
