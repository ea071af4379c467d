"""The forward and the backward pass of attention on one TPU, a kernel each.

A step of a kernel has some heads of some queries of one row, and all keys of that row.
Inside, scores stand as `[keys, queries]`: what softmax sums over is then the axis
across registers, the cheap one, and no product needs the weights transposed.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array

from transformer_jax.kernels.attention_tiles import LANES, AttentionShape, Blocks

# Added to an illegal score. Far below FLOOR, the least that a maximum counts for, so
# that a query with no legal key gets weights of exp(ILLEGAL - FLOOR) = 0.
ILLEGAL = -1e38
FLOOR = -1e30
# Of a sum of weights, where all are 0; else it is at least 1.
TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known when tracing, beside the shapes."""

    d_k: int
    causal: bool
    window: int | None


def forward_pass(
    query_segments: Array,
    key_segments: Array,
    query: Array,
    key: Array,
    value: Array,
    setting: Setting,
    interpret: bool,
) -> Array:
    """Returns what every query attends to, `[rows, query, heads * d_v]`."""
    inputs = query_segments[:, None], key_segments[:, None], query, key, value
    shape = _shape_of(query, key, value, setting.d_k)
    blocks = Blocks(shape)
    result = jax.ShapeDtypeStruct((*query.shape[:2], value.shape[2]), query.dtype)
    return pl.pallas_call(
        functools.partial(_forward_kernel, setting=setting),
        grid=blocks.grid,
        in_specs=blocks.of_inputs,
        out_specs=blocks.of_result,
        out_shape=result,
        cost_estimate=_cost(shape, 1, 1, (*inputs, result)),
        compiler_params=blocks.compiler_params,
        interpret=interpret,
        name="attention_forward",
    )(*inputs)


def backward_pass(
    query_segments: Array,
    key_segments: Array,
    query: Array,
    key: Array,
    value: Array,
    gradient: Array,
    setting: Setting,
    interpret: bool,
) -> Sequence[Array]:
    """Returns the gradients of query, key and value from that of the result."""
    inputs = query_segments[:, None], key_segments[:, None], query, key, value, gradient
    shape = _shape_of(query, key, value, setting.d_k)
    blocks = Blocks(shape)
    results = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (query, key, value)]
    return pl.pallas_call(
        functools.partial(_backward_kernel, setting=setting),
        grid=blocks.grid,
        in_specs=[*blocks.of_inputs, blocks.of_result],
        out_specs=blocks.of_inputs[2:],
        out_shape=results,
        scratch_shapes=[
            pltpu.VMEM((blocks.tile.num_heads * d, shape.num_keys), jnp.float32)
            for d in (shape.d_k, shape.d_v)
        ],
        cost_estimate=_cost(shape, 3, 2, (*inputs, *results)),
        compiler_params=blocks.compiler_params,
        interpret=interpret,
        name="attention_backward",
    )(*inputs)


def _forward_kernel(
    query_segments: Any,
    key_segments: Any,
    query: Any,
    key: Any,
    value: Any,
    result: Any,
    *,
    setting: Setting,
) -> None:
    bias = _bias(query_segments[0], key_segments[0], setting)
    value_t = value[0].T
    scale = setting.d_k**-0.5

    def start(head: _Head) -> Array:
        return _dot(key[0, :, head.k], query[0, :, head.k], 1, 1)

    def finish(head: _Head, scores: Array) -> Array:
        weights, total = _softmax(scores, scale, bias)
        weights = weights.astype(value.dtype)
        return _dot(value_t[head.v], weights, 1, 0) / total

    outputs = _one_ahead(_heads(query, value, setting.d_k), start, finish)
    result[0] = jnp.concatenate(outputs).T.astype(result.dtype)


def _backward_kernel(
    query_segments: Any,
    key_segments: Any,
    query: Any,
    key: Any,
    value: Any,
    gradient: Any,
    query_gradient: Any,
    key_gradient: Any,
    value_gradient: Any,
    key_sum: Any,
    value_sum: Any,
    *,
    setting: Setting,
) -> None:
    bias = _bias(query_segments[0], key_segments[0], setting)
    query_t, key_t, gradient_t = query[0].T, key[0].T, gradient[0].T
    scale = setting.d_k**-0.5

    @pl.when(pl.program_id(2) == 0)
    def _() -> None:
        key_sum[...] = jnp.zeros_like(key_sum)
        value_sum[...] = jnp.zeros_like(value_sum)

    def start(head: _Head) -> tuple[Array, Array]:
        scores = _dot(key[0, :, head.k], query[0, :, head.k], 1, 1)
        return scores, _dot(value[0, :, head.v], gradient[0, :, head.v], 1, 1)

    def finish(head: _Head, started: tuple[Array, Array]) -> Array:
        scores, from_weights = started
        weights, total = _softmax(scores, scale, bias)
        weights = weights / total
        mean = jnp.sum(weights * from_weights, axis=0, keepdims=True)
        from_scores = (weights * (from_weights - mean)).astype(query.dtype)
        weights = weights.astype(query.dtype)
        value_sum[head.v] += _dot(gradient_t[head.v], weights, 1, 1)
        key_sum[head.k] += _dot(query_t[head.k], from_scores, 1, 1)
        return _dot(key_t[head.k], from_scores, 1, 0)

    outputs = _one_ahead(_heads(query, value, setting.d_k), start, finish)
    query_gradient[0] = (jnp.concatenate(outputs) * scale).T.astype(query.dtype)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _() -> None:
        key_gradient[0] = (key_sum[...] * scale).T.astype(key.dtype)
        value_gradient[0] = value_sum[...].T.astype(value.dtype)


class _Head(NamedTuple):
    """Where a head's numbers stand in the last axis."""

    k: slice
    v: slice


def _heads(query: Any, value: Any, d_k: int) -> list[_Head]:
    count = query.shape[-1] // d_k
    d_v = value.shape[-1] // count
    return [
        _Head(slice(h * d_k, (h + 1) * d_k), slice(h * d_v, (h + 1) * d_v))
        for h in range(count)
    ]


def _one_ahead(
    heads: Sequence[_Head],
    start: Callable[[_Head], Any],
    finish: Callable[[_Head, Any], Array],
) -> list[Array]:
    """Returns `finish(head, start(head))` of each head.

    Each is started before the one before it is finished. The compiler keeps to this
    order, and the matrix units have work while the vector units take the softmax.
    """
    started = start(heads[0])
    results = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        ahead = None if following is None else start(following)
        results.append(finish(head, started))
        started = ahead
    return results


def _bias(query_segments: Array, key_segments: Array, setting: Setting) -> Array:
    """Returns what to add to scores `[keys, queries]`: 0, or ILLEGAL.

    Args:
        query_segments: int32 `[1, queries]`.
        key_segments: int32 `[1, keys]`.
    """
    num_queries, num_keys = query_segments.shape[1], key_segments.shape[1]
    # -1 is no query's segment: padding is attended to by nothing.
    of_keys = jnp.where(key_segments == 0, -1, key_segments)
    # The compiler turns registers, not single rows of them.
    of_keys = jnp.broadcast_to(of_keys, (LANES, num_keys)).T[:, :1]
    legal = of_keys == query_segments
    first = pl.program_id(2) * num_queries
    keys = jax.lax.broadcasted_iota(jnp.int32, legal.shape, 0)
    queries = jax.lax.broadcasted_iota(jnp.int32, legal.shape, 1) + first
    if setting.causal:
        legal &= keys <= queries
    if setting.window is not None:
        legal &= jnp.abs(keys - queries) <= setting.window
    return jnp.where(legal, 0.0, ILLEGAL)


def _softmax(scores: Array, scale: float, bias: Array) -> tuple[Array, Array]:
    """Returns weights in float32, and the sums over keys they are to be divided by."""
    scores = scores * scale + bias
    largest = jnp.maximum(jnp.max(scores, axis=0, keepdims=True), FLOOR)
    weights = jnp.exp(scores - largest)
    total = jnp.sum(weights, axis=0, keepdims=True)
    return weights, jnp.maximum(total, TINY)


def _dot(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    """Returns the product of two matrices over the axes given, in float32."""
    axes = (((left_axis,), (right_axis,)), ((), ()))
    return jax.lax.dot_general(left, right, axes, preferred_element_type=jnp.float32)


def _shape_of(query: Array, key: Array, value: Array, d_k: int) -> AttentionShape:
    num_heads = query.shape[2] // d_k
    return AttentionShape(
        rows=query.shape[0],
        num_queries=query.shape[1],
        num_keys=key.shape[1],
        num_heads=num_heads,
        d_k=d_k,
        d_v=value.shape[2] // num_heads,
        itemsize=query.dtype.itemsize,
    )


def _cost(
    shape: AttentionShape, products_k: int, products_v: int, arrays: Sequence[Any]
) -> pl.CostEstimate:
    """Returns what a pass costs, for the compiler's reckoning.

    Args:
        products_k: how many products have a term for each score and number of d_k.
        products_v: the same for d_v.
        arrays: all that is read and written.
    """
    return pl.CostEstimate(
        flops=2 * shape.num_scores * (products_k * shape.d_k + products_v * shape.d_v),
        transcendentals=shape.num_scores,
        bytes_accessed=sum(array.size * array.dtype.itemsize for array in arrays),
    )
