"""The limits of this machine: rate of matrix products, and memory."""

import logging
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from transformer_jax.config.model import ModelConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.chips import chip_of
from transformer_jax.devices.mesh import num_row_groups

_MATMUL_SIZE = 1_024
_MATMUL_SECONDS = 0.3

logger = logging.getLogger(__name__)


def matmul_rate(model: ModelConfig, mesh: Mesh) -> float:
    """Returns operations per second of a matrix product, the best of several.

    Every device multiplies its own matrices, in the model's compute dtype.
    """
    size = _MATMUL_SIZE
    rows = len(sharding.rows_of_host(num_row_groups(mesh), mesh))
    values = np.random.default_rng(0).standard_normal((rows, size, size), np.float32)
    left = sharding.make_global(values.astype(jnp.dtype(model.compute_dtype)), mesh)
    multiply = jax.jit(lambda x: jnp.einsum("dij,djk->dik", x, x))
    multiply(left).block_until_ready()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < _MATMUL_SECONDS:
        started = time.perf_counter()
        multiply(left).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return 2.0 * num_row_groups(mesh) * size**3 / min(seconds)


def peak_flops(
    model: ModelConfig, mesh: Mesh, matmul_rate: float
) -> tuple[float | None, str]:
    """Returns the peak rate of all devices together, and its source."""
    device = mesh.devices.flat[0]
    if device.platform == "cpu":
        return matmul_rate, f"{model.compute_dtype} product of matrices timed here"
    chip = chip_of(device)
    if chip is None:
        logger.warning(
            "no data sheet of %s is known: fraction_of_peak is left out",
            device.device_kind,
        )
        return None, "unknown"
    each = chip.peak_flops(model.compute_dtype) / chip.devices_per_chip
    return each * mesh.size, f"data sheet of {chip.name}"


def peak_memory() -> tuple[int, str]:
    """Returns the most bytes held at a time, and the source of the number."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    peaks = [s["peak_bytes_in_use"] for s in stats if s and "peak_bytes_in_use" in s]
    if peaks:
        return max(peaks), "largest of the devices of this process, by memory_stats"
    import resource  # Not on Windows, where JAX has no other devices either.

    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return used, "resident set of this process"
