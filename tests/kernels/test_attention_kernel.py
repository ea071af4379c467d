"""The kernel against equation (1) in NumPy and against the compiler's attention."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices import tpu_compiler as tpu_environment
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.kernels.attention import attend_rows
from transformer_jax.kernels.attention_tiles import (
    AttentionShape,
    Tile,
    choose_tile,
)
from transformer_jax.model.attention import scaled_dot_product_attention
from transformer_jax.model.masks import AttentionPattern


def segments_of(rng, rows, length):
    """Packed rows: three segments each, then padding; the last row is all padding."""
    segments = np.zeros((rows, length), np.int32)
    for row in segments[:-1]:
        ends = np.sort(rng.choice(np.arange(1, length), 3, replace=False))
        for segment, (start, end) in enumerate(
            zip([0, *ends[:-1]], ends, strict=True), start=1
        ):
            row[start:end] = segment
    return segments


def make_inputs(queries, keys, heads, d_k, d_v, rows=3):
    """Query, key, value, a gradient of the result, and segments of both sides."""
    rng = np.random.default_rng(0)
    shapes = (queries, d_k), (keys, d_k), (keys, d_v), (queries, d_v)
    arrays = [
        jnp.float32(rng.standard_normal((rows, length, heads * d)))
        for length, d in shapes
    ]
    segments = jnp.asarray(segments_of(rng, rows, queries))
    if queries == keys:
        return *arrays, segments, segments
    return *arrays, segments, jnp.asarray(segments_of(rng, rows, keys))


def with_gradients(function, query, key, value, gradient):
    result, gradients_of = jax.vjp(function, query, key, value)
    return result, *gradients_of(gradient)


def by_kernel(inputs, heads, **pattern):
    *arrays, query_segments, key_segments = inputs
    pattern = {"causal": False, "window": None, **pattern}

    @jax.jit
    def run(*arrays):
        def attend(*qkv):
            segments = query_segments, key_segments
            return attend_rows(*qkv, *segments, num_heads=heads, **pattern)

        return with_gradients(attend, *arrays)

    return run(*arrays)


def by_compiler(inputs, heads, **pattern):
    """The same by attention.py. A padding query passes no gradient on."""
    *arrays, gradient, query_segments, key_segments = inputs
    mask = AttentionPattern(query_segments, key_segments, **pattern).mask()
    legal = jnp.any(mask, axis=-1)[..., None]

    def attend(*arrays):
        split = [x.reshape(*x.shape[:2], heads, -1) for x in arrays]
        result = scaled_dot_product_attention(*split, mask)
        return jnp.where(legal, result.reshape(*result.shape[:2], -1), 0.0)

    return jax.jit(with_gradients, static_argnums=0)(attend, *arrays, gradient)


@pytest.mark.parametrize(
    ("queries", "keys", "heads", "d_k", "d_v", "pattern"),
    [
        (24, 24, 2, 8, 8, {"window": 3}),
        (24, 24, 2, 8, 8, {"causal": True, "window": 2}),
        (24, 40, 2, 8, 8, {}),
        (40, 24, 3, 4, 10, {}),
        (12, 12, 9, 128, 128, {"causal": True}),  # Three steps of three heads.
        (384, 384, 1, 8, 8, {"causal": True, "window": 150}),  # Three of 128 queries.
        (384, 130, 2, 8, 4, {}),
    ],
)
def test_result_and_gradients_are_the_compilers(
    queries, keys, heads, d_k, d_v, pattern
):
    inputs = make_inputs(queries, keys, heads, d_k, d_v)
    results = by_kernel(inputs, heads, **pattern)
    expected = by_compiler(inputs, heads, **pattern)
    for result, reference in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-4, atol=2e-5)


def test_attention_is_equation_1():
    inputs = make_inputs(16, 20, heads := 2, d_k := 8, d_v := 6)
    result, *_ = by_kernel(inputs, heads)
    query, key, value, _, query_segments, key_segments = map(np.asarray, inputs)
    for row in range(2):
        for h in range(heads):
            of_k, of_v = slice(h * d_k, (h + 1) * d_k), slice(h * d_v, (h + 1) * d_v)
            scores = np.float64(query)[row, :, of_k] @ np.float64(key)[row, :, of_k].T
            legal = (query_segments[row][:, None] == key_segments[row]) & (
                key_segments[row] > 0
            )
            weights = np.where(legal, np.exp(scores / np.sqrt(d_k)), 0.0)
            weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
            expected = weights @ np.float64(value)[row, :, of_v]
            np.testing.assert_allclose(
                result[row, :, of_v], expected, rtol=1e-5, atol=1e-6
            )


def test_padding_influences_nothing():
    query, key, value, gradient, segments, _ = inputs = make_inputs(24, 24, 2, 8, 8)
    padding = segments[..., None] == 0

    def loud(x):
        return jnp.where(padding, 1e4 * x, x)

    louder = *map(loud, (query, key, value, gradient)), segments, segments
    quiet, noisy = by_kernel(inputs, 2), by_kernel(louder, 2)
    for before, after in zip(quiet, noisy, strict=True):
        np.testing.assert_array_equal(before, after)
        assert np.all(np.where(padding, after, 0.0) == 0.0)


def test_scores_of_any_size_give_finite_weights():
    query, key, value, gradient, *segments = make_inputs(16, 16, 2, 8, 8)
    inputs = 1e6 * query, 1e6 * key, value, gradient, *segments
    assert all(np.all(np.isfinite(result)) for result in by_kernel(inputs, 2))


def test_bfloat16_is_rounded_as_the_compiler_rounds_it():
    *arrays, query_segments, key_segments = make_inputs(32, 32, 2, 16, 16)
    inputs = *(x.astype(jnp.bfloat16) for x in arrays), query_segments, key_segments
    exact = by_kernel((*(x.astype(jnp.float32) for x in inputs[:4]), *inputs[4:]), 2)
    results, expected = by_kernel(inputs, 2), by_compiler(inputs, 2)
    for result, theirs, reference in zip(results, expected, exact, strict=True):
        assert result.dtype == jnp.bfloat16
        error = np.abs(np.float32(result) - reference).max()
        assert error <= 1.5 * np.abs(np.float32(theirs) - reference).max()


@pytest.mark.parametrize(
    "config",
    [MeshConfig(data=2, fsdp=2, tensor=2), MeshConfig(tensor=4), MeshConfig(fsdp=8)],
)
def test_devices_share_rows_and_heads(config):
    inputs = make_inputs(16, 16, 4, 8, 8, rows=8)
    mesh = make_mesh(config)
    expected = by_kernel(inputs, 4)
    rows, spread = ("data", "fsdp"), []
    for x in inputs:
        spec = PartitionSpec(rows, None, "tensor") if x.ndim == 3 else (rows,)
        spread.append(jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec))))

    @jax.jit
    def run(query, key, value, gradient, *segments):
        def attend(*qkv):
            with sharding.activation_layout(mesh):
                return attend_rows(
                    *qkv, *segments, num_heads=4, causal=False, window=None
                )

        return with_gradients(attend, query, key, value, gradient)

    compiled = run.lower(*spread).compile()
    assert not re.search(r"all-(gather|to-all|reduce)|permute", compiled.as_text())
    for result, reference in zip(compiled(*spread), expected, strict=True):
        assert result.sharding.is_equivalent_to(spread[0].sharding, 3)
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6)


def shape(length, num_heads=8, d=64, itemsize=2):
    sizes = {"num_queries": length, "num_keys": length, "d_k": d, "d_v": d}
    return AttentionShape(rows=1, num_heads=num_heads, itemsize=itemsize, **sizes)


def test_a_step_takes_what_fits():
    assert choose_tile(shape(256)) == Tile(num_heads=8, num_queries=256)
    assert choose_tile(shape(256, 16)) == Tile(num_heads=8, num_queries=256)
    assert choose_tile(shape(100)) == Tile(num_heads=8, num_queries=100)
    assert choose_tile(shape(2048)) == Tile(num_heads=2, num_queries=128)
    # Parts of the last axis are whole registers, or all of it.
    assert choose_tile(shape(256, 12, 32)).num_heads == 4
    assert choose_tile(shape(256, 12, 24)).num_heads == 12


def test_rows_that_are_too_long_are_refused():
    with pytest.raises(InputError) as caught:
        choose_tile(shape(4096))
    assert str(caught.value) == (
        "model.attention_kernel='pallas' cannot hold rows of 4096 queries and 4096 "
        "keys with 8 heads of d_k=64 and d_v=64 in a TPU's vector memory: shorten "
        "data.source_length and data.target_length, make them multiples of 128, or "
        "set model.attention_kernel='xla'."
    )


def test_compiled_for_a_tpu_the_scores_stay_on_the_chip():
    pytest.importorskip("libtpu", reason="the compiler for TPUs is not installed")
    tpu_environment.quieten()
    from jax.experimental import topologies

    device = topologies.get_topology_desc(
        platform="tpu", topology_name="v5e:2x2"
    ).devices[0]
    rows, length, heads, d = 4, 256, 2, 64

    def of(dtype, *shape):
        placed = SingleDeviceSharding(device)
        return jax.ShapeDtypeStruct((rows, length, *shape), dtype, sharding=placed)

    activation, segments = of(jnp.bfloat16, heads * d), of(jnp.int32)

    def run(query, key, value, gradient, *segments):
        def attend(*qkv):
            return attend_rows(
                *qkv, *segments, num_heads=heads, causal=True, window=None
            )

        return with_gradients(attend, query, key, value, gradient)

    arguments = *4 * [activation], segments, segments
    program = jax.jit(run).lower(*arguments).compile()
    scores = rf"\[[\d,]*{length},{length}\]"
    assert not re.search(scores, program.as_text())
    moved = (4 + 7) * activation.size * 2  # In and out, forward and backward.
    cost = program.cost_analysis()
    # The rest is copies of the inputs from one of the chip's memories to the other.
    assert moved <= cost["bytes accessed"] < 2.2 * moved
    products = 7 * 2 * rows * heads * length * length * d
    assert products <= cost["flops"] < 1.1 * products
