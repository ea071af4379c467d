"""Data sheets of accelerators."""

from dataclasses import dataclass
from typing import Literal

import jax

GIB = 1 << 30
Dtype = Literal["bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Chip:
    """The published figures of one chip. Rates are per second, networks one way."""

    name: str
    bfloat16_flops: float
    """Dense matrix products in bfloat16."""
    float32_flops: float
    """Matrix products of float32 arrays at JAX's default precision: one pass in
    bfloat16 on TPUs, TF32 on GPUs."""
    memory_bytes: int
    memory_bandwidth: float
    network_bandwidth: float | None = None
    """To the neighbours in its slice, over all links together."""
    network_dimensions: int | None = None
    """Of the torus of its slice; every dimension has two links."""
    slice_bandwidth: float | None = None
    """To other slices, over the data-centre network."""
    devices_per_chip: int = 1
    """Devices JAX shows for it."""

    def peak_flops(self, dtype: Dtype) -> float:
        """Returns the matrix product rate of the chip for arrays of a dtype."""
        return self.bfloat16_flops if dtype == "bfloat16" else self.float32_flops


def _tpu(
    name: str,
    teraflops: float,
    memory_gib: int,
    bandwidth_gb: float,
    network: tuple[float, int],
    slice_gigabits: float | None,
    devices_per_chip: int = 1,
) -> Chip:
    """Returns a TPU; `network` is GB/s of all links, both ways, and dimensions."""
    return Chip(
        name=name,
        bfloat16_flops=teraflops * 1e12,
        float32_flops=teraflops * 1e12,
        memory_bytes=memory_gib * GIB,
        memory_bandwidth=bandwidth_gb * 1e9,
        network_bandwidth=network[0] / 2 * 1e9,
        network_dimensions=network[1],
        slice_bandwidth=None if slice_gigabits is None else slice_gigabits / 8 * 1e9,
        devices_per_chip=devices_per_chip,
    )


# By `device_kind`. Sources: the Cloud TPU documentation of each version;
# for v2 and v3 Jouppi et al., "A Domain-Specific Supercomputer for Training Deep
# Neural Networks", 2020.
_TPUS = {
    "TPU v2": _tpu("TPU v2", 46, 16, 700, (496, 2), None, 2),
    "TPU v3": _tpu("TPU v3", 123, 32, 900, (656, 2), None, 2),
    "TPU v4": _tpu("TPU v4", 275, 32, 1228, (600, 3), 50),
    "TPU v5 lite": _tpu("TPU v5e", 197, 16, 819, (400, 2), 25),
    "TPU v5": _tpu("TPU v5p", 459, 95, 2765, (1200, 3), 50),
    "TPU v6 lite": _tpu("TPU v6e", 918, 32, 1638, (800, 2), 100),
    "TPU7x": _tpu("TPU7x", 2307, 192, 7380, (1200, 3), 100, 2),
}


def _gpu(
    name: str, teraflops: tuple[float, float], gigabytes: int, rate: float
) -> Chip:
    """Returns a GPU; `teraflops` is bfloat16 and TF32, dense."""
    return Chip(
        name=name,
        bfloat16_flops=teraflops[0] * 1e12,
        float32_flops=teraflops[1] * 1e12,
        memory_bytes=gigabytes * 10**9,
        memory_bandwidth=rate * 1e9,
    )


# By a part of `device_kind`; the first that fits counts. Sources:
# NVIDIA's data sheets, their figures "with sparsity" halved.
_GPUS = {
    "B200": _gpu("B200", (2250, 1100), 180, 8000),
    "GH200": _gpu("GH200", (989, 494), 96, 4000),
    "H200": _gpu("H200", (989, 494), 141, 4800),
    "H100 PCIe": _gpu("H100 PCIe", (756, 378), 80, 2000),
    "H100 NVL": _gpu("H100 NVL", (835, 417), 94, 3900),
    "H100": _gpu("H100", (989, 494), 80, 3350),
    "A100-SXM4-40GB": _gpu("A100 40GB", (312, 156), 40, 1555),
    "A100-PCIE-40GB": _gpu("A100 40GB", (312, 156), 40, 1555),
    "A100": _gpu("A100 80GB", (312, 156), 80, 2039),
    "L40S": _gpu("L40S", (362, 183), 48, 864),
    "L4": _gpu("L4", (121, 60), 24, 300),
    "A10G": _gpu("A10G", (70, 35), 24, 600),
}


def chip_of(device: jax.Device) -> Chip | None:
    """Returns the data sheet of a device's chip, None where it is not known."""
    if device.platform == "tpu":
        return _TPUS.get(device.device_kind)
    words = device.device_kind.replace("-", " ").split()
    for part, chip in _GPUS.items():
        if all(word in words for word in part.replace("-", " ").split()):
            return chip
    return None
