"""Attention of whole rows in one kernel for TPUs, forward and backward.

The scores and the weights of a row never leave the chip: what is read and written is
query, key, value, the result, and their gradients, as `[rows, length, heads * d]`, the
form in which the projections make them. Nothing is kept for the backward pass but the
inputs; it computes the weights again.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Int

from transformer_jax import axes
from transformer_jax.kernels.attention_passes import (
    Setting,
    backward_pass,
    forward_pass,
)


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

    The last axes are the heads, one after the other: `width_k = num_heads * d_k`.

    Attention is legal inside equal segments that are not 0; with `causal`, to the
    query's own index in the row and those before it; with `window`, to at most so many
    indices to each side. A query that may attend to nothing (padding) gets zeros, and
    sends no gradient anywhere.

    Where a mesh is in force (`jax.sharding.get_abstract_mesh`) each device computes
    its own rows and heads, as the logical axis rules spread BATCH and HEADS. Not on a
    TPU, the kernel is interpreted, which is slow: for tests.

    Raises:
        InputError: the rows are too long for the kernel.

    Paper: section 3.2.1, equation (1); 3.2.2 for the heads.
    """
    setting = Setting(d_k=query.shape[-1] // num_heads, causal=causal, window=window)
    return _attend(
        query, key, value, query_segments, key_segments, setting, _placement()
    )


@dataclass(frozen=True, kw_only=True)
class _Placement:
    """How the arrays of attention are spread over devices."""

    mesh: Any
    segments: Any
    """Specification of `[rows, length]`."""
    activations: Any
    """Specification of `[rows, length, heads * d]`."""


def _placement() -> _Placement | None:
    """Returns where attention runs; None = all of it on this device."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.are_all_axes_manual:
        return None
    return _Placement(
        mesh=mesh,
        segments=nn.logical_to_mesh_axes((axes.BATCH, axes.LENGTH)),
        activations=nn.logical_to_mesh_axes((axes.BATCH, axes.LENGTH, axes.HEADS)),
    )


# The kernels are placed inside the rule for the gradient, not around it: how the
# gradients are spread needs no inference then.
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
    return _run(forward_pass, inputs, setting, placement)


def _attend_forward(*inputs: Any) -> tuple[Array, tuple[Array, ...]]:
    return _attend(*inputs), inputs[:5]


def _attend_backward(
    setting: Setting,
    placement: _Placement | None,
    inputs: tuple[Array, ...],
    gradient: Array,
) -> tuple[Array | None, ...]:
    query, key, value, query_segments, key_segments = inputs
    inputs = query_segments, key_segments, query, key, value, gradient
    return *_run(backward_pass, inputs, setting, placement), None, None


_attend.defvjp(_attend_forward, _attend_backward)


def _run(
    kernel: Callable,
    inputs: tuple[Array, ...],
    setting: Setting,
    placement: _Placement | None,
) -> Any:
    """Runs a kernel, on each device with its own part of the inputs."""

    def run(*inputs: Array) -> Any:
        return jax.lax.platform_dependent(
            *inputs,
            tpu=functools.partial(kernel, setting=setting, interpret=False),
            default=functools.partial(kernel, setting=setting, interpret=True),
        )

    if placement is None:
        return run(*inputs)
    segments, activations = placement.segments, placement.activations
    return jax.shard_map(
        run,
        mesh=placement.mesh,
        in_specs=(segments, segments, *(activations for _ in inputs[2:])),
        out_specs=activations,
        check_vma=False,
    )(*inputs)
