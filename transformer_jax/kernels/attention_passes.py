"""The Pallas kernels of attention on one TPU: forward pass and backward pass.

A step of a kernel computes some heads of some queries of one row, over all keys of that
row. Scores are laid out as `[keys, queries]`: softmax then sums across registers, which
is cheap, and no product needs the weights transposed.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array

from transformer_jax.kernels.attention_tiles import LANES, AttentionShape, Blocks

# Added to illegal scores. It is far below FLOOR, the lower bound of a row's maximum, so
# a query without any legal key gets weights of exp(ILLEGAL - FLOOR) = 0.
ILLEGAL = -1e38
FLOOR = -1e30
# Lower bound of a sum of weights, which avoids 0 / 0 where all of them are 0. The sum
# is at least 1 otherwise.
TINY = 1e-30

_Ref: TypeAlias = Any  # Pallas has no public type for the references of a kernel.
_Started = TypeVar("_Started")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Settings of the kernels that are known when tracing, beside the shapes."""

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
    """Returns the attended values, `[rows, query, heads * d_v]`."""
    inputs = query_segments[:, None], key_segments[:, None], query, key, value
    shape = _attention_shape(query, key, value, setting.d_k)
    blocks = Blocks(shape)
    result = jax.ShapeDtypeStruct((*query.shape[:2], value.shape[2]), query.dtype)
    attended: Array = pl.pallas_call(
        functools.partial(_forward_kernel, setting=setting),
        grid=blocks.grid,
        in_specs=blocks.input_specs,
        out_specs=blocks.result_spec,
        out_shape=result,
        cost_estimate=_cost_estimate(shape, 1, 1, (*inputs, result)),
        compiler_params=blocks.compiler_params,
        interpret=interpret,
        name="attention_forward",
    )(*inputs)
    return attended


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
    """Returns the gradients of query, key and value.

    Args:
        gradient: of the result, `[rows, query, heads * d_v]`.
    """
    inputs = query_segments[:, None], key_segments[:, None], query, key, value, gradient
    shape = _attention_shape(query, key, value, setting.d_k)
    blocks = Blocks(shape)
    results = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (query, key, value)]
    gradients: Sequence[Array] = pl.pallas_call(
        functools.partial(_backward_kernel, setting=setting),
        grid=blocks.grid,
        in_specs=[*blocks.input_specs, blocks.result_spec],
        out_specs=blocks.input_specs[2:],
        out_shape=results,
        scratch_shapes=[
            pltpu.VMEM((blocks.tile.num_heads * d, shape.num_keys), jnp.float32)
            for d in (shape.d_k, shape.d_v)
        ],
        cost_estimate=_cost_estimate(shape, 3, 2, (*inputs, *results)),
        compiler_params=blocks.compiler_params,
        interpret=interpret,
        name="attention_backward",
    )(*inputs)
    return gradients


def _forward_kernel(
    query_segments: _Ref,
    key_segments: _Ref,
    query: _Ref,
    key: _Ref,
    value: _Ref,
    result: _Ref,
    *,
    setting: Setting,
) -> None:
    bias = _mask_bias(query_segments[0], key_segments[0], setting)
    value_t = value[0].T
    scale = setting.d_k**-0.5

    def start(head: _Head) -> Array:
        return _dot(key[0, :, head.k], query[0, :, head.k], 1, 1)

    def finish(head: _Head, scores: Array) -> Array:
        weights, total = _softmax(scores, scale, bias)
        weights = weights.astype(value.dtype)
        return _dot(value_t[head.v], weights, 1, 0) / total

    outputs = _pipeline(_heads(query, value, setting.d_k), start, finish)
    result[0] = jnp.concatenate(outputs).T.astype(result.dtype)


def _backward_kernel(
    query_segments: _Ref,
    key_segments: _Ref,
    query: _Ref,
    key: _Ref,
    value: _Ref,
    gradient: _Ref,
    query_gradient: _Ref,
    key_gradient: _Ref,
    value_gradient: _Ref,
    key_sum: _Ref,
    value_sum: _Ref,
    *,
    setting: Setting,
) -> None:
    bias = _mask_bias(query_segments[0], key_segments[0], setting)
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

    outputs = _pipeline(_heads(query, value, setting.d_k), start, finish)
    query_gradient[0] = (jnp.concatenate(outputs) * scale).T.astype(query.dtype)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _() -> None:
        key_gradient[0] = (key_sum[...] * scale).T.astype(key.dtype)
        value_gradient[0] = value_sum[...].T.astype(value.dtype)


class _Head(NamedTuple):
    """The part of the last axis that belongs to a head."""

    k: slice
    v: slice


def _heads(query: _Ref, value: _Ref, d_k: int) -> list[_Head]:
    count = query.shape[-1] // d_k
    d_v = value.shape[-1] // count
    return [
        _Head(slice(h * d_k, (h + 1) * d_k), slice(h * d_v, (h + 1) * d_v))
        for h in range(count)
    ]


def _pipeline(
    heads: Sequence[_Head],
    start: Callable[[_Head], _Started],
    finish: Callable[[_Head, _Started], Array],
) -> list[Array]:
    """Returns `finish(head, start(head))` of each head: software pipelining.

    Each head is started before the previous one is finished. The compiler keeps this
    order, so the matrix units work while the vector units compute a softmax.
    """
    started = start(heads[0])
    results = []
    for head, following in itertools.pairwise(heads):
        ahead = start(following)
        results.append(finish(head, started))
        started = ahead
    return [*results, finish(heads[-1], started)]


def _mask_bias(query_segments: Array, key_segments: Array, setting: Setting) -> Array:
    """Returns the mask as a term of scores `[keys, queries]`: 0 or ILLEGAL.

    Args:
        query_segments: int32 `[1, queries]`.
        key_segments: int32 `[1, keys]`.
    """
    num_queries, num_keys = query_segments.shape[1], key_segments.shape[1]
    # No query has segment -1, so no query attends to padding.
    segments = jnp.where(key_segments == 0, -1, key_segments)
    # The compiler transposes whole registers only, not single rows.
    segments = jnp.broadcast_to(segments, (LANES, num_keys)).T[:, :1]
    legal = segments == query_segments
    first = pl.program_id(2) * num_queries
    keys = jax.lax.broadcasted_iota(jnp.int32, legal.shape, 0)
    queries = jax.lax.broadcasted_iota(jnp.int32, legal.shape, 1) + first
    if setting.causal:
        legal &= keys <= queries
    if setting.window is not None:
        legal &= jnp.abs(keys - queries) <= setting.window
    return jnp.where(legal, 0.0, ILLEGAL)


def _softmax(scores: Array, scale: float, bias: Array) -> tuple[Array, Array]:
    """Returns unnormalised float32 weights, and their sums over keys."""
    scores = scores * scale + bias
    largest = jnp.maximum(jnp.max(scores, axis=0, keepdims=True), FLOOR)
    weights = jnp.exp(scores - largest)
    total = jnp.sum(weights, axis=0, keepdims=True)
    return weights, jnp.maximum(total, TINY)


def _dot(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    """Returns the product of two matrices, summed over these axes, in float32."""
    axes = (((left_axis,), (right_axis,)), ((), ()))
    return jax.lax.dot_general(left, right, axes, preferred_element_type=jnp.float32)


def _attention_shape(
    query: Array, key: Array, value: Array, d_k: int
) -> AttentionShape:
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


def _cost_estimate(
    shape: AttentionShape,
    products_k: int,
    products_v: int,
    arrays: Sequence[Array | jax.ShapeDtypeStruct],
) -> pl.CostEstimate:
    """Returns the cost estimate of a pass, for the compiler's scheduler.

    Args:
        products_k: number of matrix products over scores and d_k.
        products_v: number of matrix products over scores and d_v.
        arrays: all arrays that are read or written.
    """
    return pl.CostEstimate(
        flops=2 * shape.num_scores * (products_k * shape.d_k + products_v * shape.d_v),
        transcendentals=shape.num_scores,
        bytes_accessed=sum(array.size * array.dtype.itemsize for array in arrays),
    )
