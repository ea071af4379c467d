"""The least time a step can take on a chip, from what it costs and the data sheet."""

from collections.abc import Sequence

import jax

from transformer_jax.cost.hlo.collectives import BETWEEN_SLICES, Collective
from transformer_jax.cost.hlo.cost import ProgramCost
from transformer_jax.devices.chips import Chip, Dtype


def roofline_seconds(
    cost: ProgramCost, chip: Chip, devices: Sequence[jax.Device], dtype: Dtype
) -> dict[str, float]:
    """Returns seconds by resource, each as if it were the only one that is used.

    `compute` is that of matrix products alone, `memory` that of the chip's main memory,
    `network` that between the chips of a slice, `slice_network` that between slices.
    A step takes at least the largest of them.

    Args:
        cost: of one device; a chip may show as several.
        devices: those of the mesh, in its order.
        dtype: of the matrix products.
    """
    share = chip.devices_per_chip
    network = [network_seconds(c, chip, devices) for c in cost.collectives]
    seconds = {
        "compute": share * cost.matmul_flops / chip.peak_flops(dtype),
        "memory": share * cost.main_memory_bytes / chip.memory_bandwidth,
        "network": share * sum(within for within, _ in network),
    }
    if len({_slice_of(device) for device in devices}) > 1:
        seconds["slice_network"] = share * sum(across for _, across in network)
    return seconds


def network_seconds(
    collective: Collective, chip: Chip, devices: Sequence[jax.Device]
) -> tuple[float, float]:
    """Returns the seconds of a collective within slices and across them.

    Rings, in the links of those dimensions of the torus that the group spans. A group
    in several slices first works within each, then across with what is left to a chip.
    """
    if collective.kind.startswith(BETWEEN_SLICES):
        num_slices = len({_slice_of(device) for device in devices})
        times = {"all-reduce": 2, "all-gather": num_slices}
        kind = collective.kind.removeprefix(BETWEEN_SLICES)
        moved = collective.total_bytes * (num_slices - 1) / num_slices
        return 0.0, times.get(kind, 1) * moved / _bandwidth(chip.slice_bandwidth)
    if collective.kind == "collective-permute":
        size = float(collective.operand_bytes * collective.times)
        crosses = any(
            _slice_of(devices[a]) != _slice_of(devices[b]) for a, b in collective.groups
        )
        if crosses:
            return 0.0, size / _bandwidth(chip.slice_bandwidth)
        return size / _links(chip, 1), 0.0
    group = [devices[i] for i in collective.groups[0]] if collective.groups else devices
    num_slices = len({_slice_of(device) for device in group})
    num_within = len(group) // num_slices
    size = collective.times * max(collective.operand_bytes, collective.result_bytes)
    passes = 2 if collective.kind == "all-reduce" else 1
    first_slice = [d for d in group if _slice_of(d) == _slice_of(group[0])]
    spanned = sum(len(set(axis)) > 1 for axis in zip(*map(_coords, first_slice)))  # noqa: B905
    within = across = 0.0
    if spanned:
        moved = passes * size * (num_within - 1) / num_within
        within = moved / _links(chip, spanned)
    if num_slices > 1:
        left = size if collective.kind == "all-to-all" else size / num_within
        moved = passes * left * (num_slices - 1) / num_slices
        across = moved / _bandwidth(chip.slice_bandwidth)
    return within, across


def _links(chip: Chip, spanned: int) -> float:
    """Returns the bandwidth of the links in some dimensions of the torus."""
    dimensions = chip.network_dimensions or 1
    return _bandwidth(chip.network_bandwidth) * min(spanned, dimensions) / dimensions


def _bandwidth(published: float | None) -> float:
    return float("inf") if published is None else published


def _slice_of(device: jax.Device) -> int:
    return getattr(device, "slice_index", None) or 0


def _coords(device: jax.Device) -> tuple[int, ...]:
    return tuple(device.coords)
