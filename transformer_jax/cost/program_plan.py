"""A program compiled for TPUs that are not attached: what any plan says of it."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from transformer_jax.cost.hlo.cost import ProgramCost
from transformer_jax.cost.roofline import network_seconds, roofline_seconds
from transformer_jax.cost.schedule import Rates, Schedule
from transformer_jax.cost.topology import chip_of_topology, topology_devices
from transformer_jax.devices.chips import Chip, Dtype
from transformer_jax.devices.stored_programs import without_jax_cache
from transformer_jax.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProgramPlan:
    """The cost of a program for each chip of a topology."""

    topology: str
    num_slices: int
    num_chips: int
    chip: str
    mesh: dict[str, int]
    flops: float
    """Of the compiled program."""
    matmul_flops: float
    """The part of `flops` in matrix products."""
    bytes_accessed: int
    """Read and written by all instructions, in any memory, as XLA counts."""
    main_memory_bytes: int
    """The part of `bytes_accessed` that goes to the chip's main memory."""
    argument_bytes: int
    temporary_bytes: int
    total_bytes: int
    """Arguments, temporaries and results that take no argument's place."""
    memory_bytes: int
    """Of the chip."""
    collective_bytes: dict[str, int]
    """Sent by the chip, by kind of collective."""
    roofline_seconds: dict[str, float]
    """By resource; the program takes at least the largest."""
    bound_by: str
    """The resource with the largest."""
    schedule_seconds: float
    """The instructions one after the other as the compiler has ordered them, each by
    its own roofline, with what runs beside them."""
    exposed_network_seconds: float
    """The part of `schedule_seconds` in which the chip only waits for the network."""
    compile_seconds: float


class Topology(NamedTuple):
    """Devices that need not be attached."""

    name: str
    num_slices: int
    devices: list[jax.Device]
    chip: Chip


def find_topology(name: str, num_slices: int) -> Topology:
    """Returns a topology by its name, as `v5e:4x4`.

    Raises:
        InputError: there is none, or nothing is known of its chips.
    """
    devices = topology_devices(name, num_slices)
    return Topology(name, num_slices, devices, chip_of_topology(devices, name))


class Compiled(NamedTuple):
    """A program compiled for a topology."""

    program: Any
    text: str
    seconds: float


def compile_program(
    lower: Callable[[], Any], what: str, topology: Topology, remedy: str
) -> Compiled:
    """Returns a program, compiled.

    Args:
        lower: returns the lowered program.
        what: it is, for the log and for errors.
        remedy: what to do about a program that does not fit.

    Raises:
        InputError: it needs more memory than a chip has.
    """
    logger.info(
        "compiling %s for %s, which takes up to some minutes", what, topology.name
    )
    started = time.perf_counter()
    lowered = lower()
    try:
        with without_jax_cache():  # Which cannot read programs for such devices.
            program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        raise _too_large(error, what, topology.name, remedy) from error
    seconds = time.perf_counter() - started
    memory, chip = program.memory_analysis(), topology.chip
    total = chip.devices_per_chip * _total_bytes(memory)
    if total > chip.memory_bytes:
        sizes = total / 1e9, chip.memory_bytes / 1e9
        raise _does_not_fit(*sizes, what, topology.name, remedy)
    return Compiled(program, _text_of(program), seconds)


def plan_fields(
    compiled: Compiled,
    cost: ProgramCost,
    schedule: Callable[[str, Rates], Schedule],
    topology: Topology,
    mesh: Mesh,
    dtype: Dtype,
) -> dict[str, Any]:
    """Returns the fields of `ProgramPlan`.

    Args:
        cost: of the program on one device, or of its part that counts.
        schedule: returns the times of that from the program's text.
        dtype: of the matrix products.
    """
    chip, memory = topology.chip, compiled.program.memory_analysis()
    share, devices = chip.devices_per_chip, list(mesh.devices.flat)
    seconds = roofline_seconds(cost, chip, devices, dtype)
    times = schedule(
        compiled.text,
        Rates(
            matmul_flops=chip.peak_flops(dtype) / share,
            memory_bytes=chip.memory_bandwidth / share,
            network_seconds=lambda c: share * sum(network_seconds(c, chip, devices)),
        ),
    )
    fields = ProgramPlan(
        topology=topology.name,
        num_slices=topology.num_slices,
        num_chips=len(topology.devices) // share,
        chip=chip.name,
        mesh=dict(mesh.shape),
        flops=share * cost.flops,
        matmul_flops=share * cost.matmul_flops,
        bytes_accessed=share * cost.bytes_accessed,
        main_memory_bytes=share * cost.main_memory_bytes,
        argument_bytes=share * memory.argument_size_in_bytes,
        temporary_bytes=share * memory.temp_size_in_bytes,
        total_bytes=share * _total_bytes(memory),
        memory_bytes=chip.memory_bytes,
        collective_bytes={k: share * n for k, n in cost.collective_bytes.items()},
        roofline_seconds=seconds,
        bound_by=max(seconds, key=lambda resource: seconds[resource]),
        # Copies and products that run beside each other share the memory.
        schedule_seconds=max(times.seconds, *seconds.values()),
        exposed_network_seconds=times.exposed_network_seconds,
        compile_seconds=compiled.seconds,
    )
    return vars(fields)


def _total_bytes(memory: Any) -> int:
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    total: int = memory.argument_size_in_bytes + memory.temp_size_in_bytes + results
    return total


def _text_of(program: Any) -> str:
    try:
        text: str = program.as_text()
    except jax.errors.JaxRuntimeError as error:
        versions = [f"{n} {metadata.version(n)}" for n in ("libtpu", "jaxlib")]
        raise InputError(
            f"{' and '.join(versions)} do not understand each other: install the "
            "libtpu that goes with this JAX, pip install 'transformer-jax[tpu]'."
        ) from error
    return text


def _too_large(error: Exception, what: str, topology: str, remedy: str) -> Exception:
    """Returns the error of what needs too much memory, or else the error."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return error
    # "Used 20.1G of 15.75G hbm", "required (20.1G) exceeds available HBM (15.75G)"
    sizes = re.findall(r"\b([\d.]+)([KMGT])\b", str(error))
    if len(sizes) < 2:
        return InputError(f"{topology} has too little memory for {what}: {error}")
    powers = {"K": 10, "M": 20, "G": 30, "T": 40}
    needed, there = (float(n) * 2 ** powers[unit] / 1e9 for n, unit in sizes[:2])
    return _does_not_fit(needed, there, what, topology, remedy)


def _does_not_fit(
    needed: float, there: float, what: str, topology: str, remedy: str
) -> InputError:
    return InputError(
        f"a chip of {topology} has {there:.1f} GB for {what} that needs {needed:.1f} "
        f"GB: {remedy}."
    )
