"""What the GPU can do: matrix products, memory, and the operation of attention alone.

Each function yields measurements as dictionaries for JSON. `on_gpu.py` starts this
script, in a process of its own, as `gpu_rates.py FUNCTION ARGUMENTS PLATFORM`.
"""

import functools
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_process import PREFIX, Measurement
from jax import Array
from side_by_side import cpu_name

from transformer_jax.config.experiment import DataConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import make_batch
from transformer_jax.data.made_up import made_up_corpus
from transformer_jax.data.pipeline import pack_corpus
from transformer_jax.devices.chips import Dtype, chip_of
from transformer_jax.model.attention import scaled_dot_product_attention
from transformer_jax.model.masks import AttentionPattern

# The batch of the paper, as in configs/wmt14_*.toml: 96 rows of 256 positions.
PAPER_DATA = DataConfig(source_length=256, target_length=256, batch_tokens=24_576)
TINY_DATA = DataConfig(source_length=32, target_length=32, batch_tokens=8 * 32)


def find() -> Iterator[Measurement]:
    """The hardware, and the versions of what measures it."""
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    yield {
        "hardware": {
            "platform": device.platform,
            "device_kind": device.device_kind,
            "num_devices": jax.device_count(),
            # JAX takes three quarters of the memory unless told otherwise.
            "jax_memory_bytes": (device.memory_stats() or {}).get("bytes_limit"),
            "driver": _driver(),
            "cpu": cpu_name(),
            "cpu_cores": os.cpu_count(),
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
    }


def _driver() -> str | None:
    """Returns the version of NVIDIA's driver, None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return answer.partition("\n")[0].strip() or None


def rates(tiny: bool) -> Iterator[Measurement]:
    """Memory bandwidth, and the rate of matrix products.

    The matrices are square, or those of base and big at the paper's batch.
    """
    numbers = _normal((1 << (18 if tiny else 28),), jnp.float32)
    yield from _bandwidth(numbers)
    squares = [(n, n, n) for n in ((64, 128) if tiny else (1_024, 2_048, 4_096, 8_192))]
    tokens = 256 if tiny else PAPER_DATA.batch_tokens
    models = [ModelConfig.tiny()] if tiny else [ModelConfig.base(), ModelConfig.big()]
    layers = [
        (tokens, model.d_model, columns)
        for model in models
        for columns in (model.d_model, model.d_ff, model.vocab_size)
    ]
    for size in [*squares, *layers]:
        yield _product(numbers, size, "bfloat16", "default")
        yield _product(numbers, size, "float32", "default")
    # By default a GPU rounds the operands of float32 products to TF32.
    for size in squares:
        yield _product(numbers, size, "float32", "highest")


def _bandwidth(numbers: Array) -> Iterator[Measurement]:
    """An array is read and another written, or it is only read."""
    chip = chip_of(jax.devices()[0])
    operations: dict[str, tuple[Callable[[Array], Array], int]] = {
        "x + 1": (lambda x: x + 1, 2 * numbers.nbytes),
        "sum(x)": (lambda x: x.sum(), numbers.nbytes),
    }
    for name, (operation, num_bytes) in operations.items():
        seconds = _seconds(jax.jit(operation), numbers)
        rate = num_bytes / seconds
        yield {
            "measured": "memory bandwidth",
            "operation": name,
            "moved_bytes": num_bytes,
            "operation_seconds": seconds,
            "gigabytes_per_second": rate / 1e9,
            "fraction_of_peak": None if chip is None else rate / chip.memory_bandwidth,
        }


def _product(
    numbers: Array, size: tuple[int, int, int], dtype: Dtype, precision: str
) -> Measurement:
    """A product of two matrices that hold the given random numbers."""
    rows, depth, columns = size
    left = numbers[: rows * depth].reshape(rows, depth).astype(dtype)
    right = numbers[: depth * columns].reshape(depth, columns).astype(dtype)
    multiply = jax.jit(functools.partial(jnp.matmul, precision=precision))
    seconds = _seconds(multiply, left, right)
    rate = 2 * rows * depth * columns / seconds
    chip = chip_of(jax.devices()[0]) if precision == "default" else None
    return {
        "measured": "matrix product",
        "rows_depth_columns": size,
        "dtype": dtype,
        "precision": precision,
        "operation_seconds": seconds,
        "tflops_per_second": rate / 1e12,
        "fraction_of_peak": None if chip is None else rate / chip.peak_flops(dtype),
    }


def attention(tiny: bool, kernel: str) -> Iterator[Measurement]:
    """Attention alone, in bfloat16, forward and with its gradients.

    The masks are those of packed rows; nothing is dropped. Errors are relative, against
    the compiler's attention in float32, over the positions that are not padding.
    """
    data = TINY_DATA if tiny else PAPER_DATA
    models = {"tiny": ModelConfig.tiny()}
    if not tiny:
        models = {"base": ModelConfig.base(), "big": ModelConfig.big()}
    corpus = made_up_corpus(ModelConfig.tiny(), data)
    packed = pack_corpus(corpus, data, seed=0)
    segments = jnp.asarray(
        make_batch(corpus, packed, np.arange(data.rows)).target_segments
    )
    for name, model in models.items():
        shape = (*segments.shape, model.num_heads, model.key_size)
        for causal in (False, True):
            pattern = AttentionPattern(segments, segments, causal=causal)
            inputs = [_normal(shape, "bfloat16", seed) for seed in range(4)]
            with jax.default_matmul_precision("highest"):
                exact = _both_passes("xla", pattern)(
                    *(each.astype(jnp.float32) for each in inputs)
                )
            yield {
                "measured": "attention alone",
                "model": name,
                "attention_kernel": kernel,
                "causal": causal,
                "rows_length_heads_d_k": shape,
                **_attention(kernel, pattern, inputs, exact),
            }


def _attention(
    kernel: str, pattern: AttentionPattern, inputs: list[Array], exact: Any
) -> Measurement:
    forward = functools.partial(_attend, kernel, pattern)
    both = _both_passes(kernel, pattern)
    found = both(*inputs)
    names = ("result", "query_gradient", "key_gradient", "value_gradient")
    real = np.asarray(pattern.query_segments != 0)
    return {
        "forward_seconds": _seconds(jax.jit(forward), *inputs[:3]),
        "forward_and_backward_seconds": _seconds(both, *inputs),
        "temporary_bytes": both.lower(*inputs)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes,
        "relative_errors": {
            name: _relative_error(np.asarray(x, np.float32), np.asarray(y), real)
            for name, x, y in zip(names, found, exact, strict=True)
        },
    }


def _both_passes(kernel: str, pattern: AttentionPattern) -> Any:
    """Returns `(query, key, value, gradient) -> (result, *gradients)`, compiled."""

    def both(query: Array, key: Array, value: Array, gradient: Array) -> Any:
        attend = functools.partial(_attend, kernel, pattern)
        result, pull_back = jax.vjp(attend, query, key, value)
        # The loss does not depend on what padding attends to.
        real = pattern.query_segments[..., None, None] != 0
        return result, *pull_back(jnp.where(real, gradient, 0).astype(result.dtype))

    return jax.jit(both)


def _attend(
    kernel: str, pattern: AttentionPattern, query: Array, key: Array, value: Array
) -> Array:
    """Attention as `model.attention` calls it for `model.attention_kernel`."""
    mask = pattern.mask()
    if kernel == "xla":
        return scaled_dot_product_attention(query, key, value, mask)
    return jax.nn.dot_product_attention(
        query, key, value, mask=mask[:, None], implementation="cudnn"
    )


def _relative_error(x: np.ndarray, exact: np.ndarray, real: np.ndarray) -> float:
    return float(np.linalg.norm((x - exact)[real]) / np.linalg.norm(exact[real]))


def _normal(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    """Returns random numbers: some chips are faster with zeros."""
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def _seconds(operation: Callable[..., Any], *inputs: Array) -> float:
    """Returns the seconds of one call, the median of several runs of many calls.

    The calls of a run are dispatched without waiting, so the device is never idle.
    """
    jax.block_until_ready(operation(*inputs))
    started = time.perf_counter()
    jax.block_until_ready(operation(*inputs))
    calls = max(1, min(200, round(0.03 / (time.perf_counter() - started))))
    runs = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            result = operation(*inputs)
        jax.block_until_ready(result)
        runs.append((time.perf_counter() - started) / calls)
    return statistics.median(runs)


def print_measurements(*functions: Callable[..., Iterator[Measurement]]) -> None:
    """Prints what the function named on the command line yields, a line each.

    A measurement that fails ends the process; those before it are printed by then.
    """
    if len(sys.argv) != 4:
        sys.exit(f"{sys.argv[0]} is called by benchmarks/on_gpu.sh: call that")
    name, arguments, wanted = sys.argv[1:]
    # JAX goes on with the CPU where it cannot use the GPU.
    if jax.devices()[0].platform != wanted:
        sys.exit(f"JAX uses the {jax.devices()[0].platform}, not the {wanted}")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    chosen = {function.__name__: function for function in functions}[name]
    for measurement in chosen(**json.loads(arguments)):
        print(PREFIX + json.dumps(measurement), flush=True)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, which may have been killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    print_measurements(find, rates, attention)
