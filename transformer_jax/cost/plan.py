"""The cost of an update on TPUs that are not attached, from compiling it for them."""

import logging
import re
import time
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.cost.hlo.cost import ProgramCost, program_cost
from transformer_jax.cost.model_flops import attention_score_flops, training_flops
from transformer_jax.cost.roofline import roofline_seconds
from transformer_jax.cost.topology import chip_of_topology, topology_devices
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import check_rows, make_mesh
from transformer_jax.errors import InputError
from transformer_jax.training.state import abstract_state
from transformer_jax.training.step import make_train_step

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cost of an update for each chip of a topology."""

    topology: str
    num_slices: int
    num_chips: int
    chip: str
    mesh: dict[str, int]
    model_flops: float
    """By the model's formula, as if every position were a token."""
    attention_score_flops: float
    """Of attention scores over whole rows, which are not in the formula."""
    flops: float
    """Of the compiled step."""
    matmul_flops: float
    """The part of `flops` in matrix products."""
    bytes_accessed: int
    """Read and written by all instructions, in any memory, as XLA counts."""
    main_memory_bytes: int
    """The part of `bytes_accessed` that goes to the chip's main memory."""
    argument_bytes: int
    """State and batch."""
    temporary_bytes: int
    total_bytes: int
    """Arguments, temporaries and results that take no argument's place."""
    memory_bytes: int
    """Of the chip."""
    collective_bytes: dict[str, int]
    """Sent by the chip, by kind of collective."""
    roofline_seconds: dict[str, float]
    """By resource; a step takes at least the largest."""
    bound_by: str
    """The resource with the largest."""
    target_tokens_per_second_at_most: float
    """All chips together, as if every position were a token."""
    compile_seconds: float


def plan(
    config: ExperimentConfig, topology: str, *, num_slices: int = 1
) -> tuple[Plan, ProgramCost]:
    """Returns the cost of an update on a topology, in total and by instruction.

    It compiles the step of `train` for the mesh of `config.mesh`; nothing is run, and
    no TPU is needed.

    Args:
        topology: TPU version and chips along each dimension of a slice, as `v5e:4x4`.
        num_slices: slices joined by the data-centre network.

    Raises:
        InputError: no such topology, settings that do not fit it, or a step that needs
            more memory than a chip has.
    """
    devices = topology_devices(topology, num_slices)
    chip = chip_of_topology(devices, topology)
    mesh = make_mesh(config.mesh, devices)
    check_rows(config.data.rows, mesh, config.training.accumulation_steps)
    compiled, compile_seconds = _compile_step(config, mesh, topology)
    cost = program_cost(_text_of(compiled))
    memory = compiled.memory_analysis()
    share = chip.devices_per_chip
    num_chips = len(devices) // share
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    total = memory.argument_size_in_bytes + memory.temp_size_in_bytes + results
    if total * share > chip.memory_bytes:
        raise _does_not_fit(total * share / 1e9, chip.memory_bytes / 1e9, topology)
    seconds = roofline_seconds(
        cost, chip, list(mesh.devices.flat), config.model.compute_dtype
    )
    bound_by = max(seconds, key=lambda resource: seconds[resource])
    source_slots = config.data.rows * config.data.source_length
    target_slots = config.data.rows * config.data.target_length
    found = Plan(
        topology=topology,
        num_slices=num_slices,
        num_chips=num_chips,
        chip=chip.name,
        mesh=dict(mesh.shape),
        model_flops=training_flops(config.model, source_slots, target_slots)
        / num_chips,
        attention_score_flops=attention_score_flops(
            config.model,
            config.data.rows,
            config.data.source_length,
            config.data.target_length,
        )
        / num_chips,
        flops=share * cost.flops,
        matmul_flops=share * cost.matmul_flops,
        bytes_accessed=share * cost.bytes_accessed,
        main_memory_bytes=share * cost.main_memory_bytes,
        argument_bytes=share * memory.argument_size_in_bytes,
        temporary_bytes=share * memory.temp_size_in_bytes,
        total_bytes=share * total,
        memory_bytes=chip.memory_bytes,
        collective_bytes={k: share * n for k, n in cost.collective_bytes.items()},
        roofline_seconds=seconds,
        bound_by=bound_by,
        target_tokens_per_second_at_most=target_slots / seconds[bound_by],
        compile_seconds=compile_seconds,
    )
    return found, cost


def _compile_step(
    config: ExperimentConfig, mesh: jax.sharding.Mesh, topology: str
) -> tuple[Any, float]:
    """Returns the compiled step of `train`, and the seconds it took."""
    step: Any = make_train_step(config, mesh)
    logger.info("compiling the update for %s", topology)
    started = time.perf_counter()
    lowered = step.lower(abstract_state(config, mesh), _abstract_batch(config, mesh))
    try:
        return lowered.compile(), time.perf_counter() - started
    except jax.errors.JaxRuntimeError as error:
        raise _too_large(error, topology) from error


def _text_of(compiled: Any) -> str:
    try:
        text: str = compiled.as_text()
    except jax.errors.JaxRuntimeError as error:
        versions = [f"{n} {metadata.version(n)}" for n in ("libtpu", "jaxlib")]
        raise InputError(
            f"{' and '.join(versions)} do not understand each other: install the "
            "libtpu that goes with this JAX, pip install 'transformer-jax[tpu]'."
        ) from error
    return text


def _abstract_batch(config: ExperimentConfig, mesh: jax.sharding.Mesh) -> Batch:
    rows, spread = config.data.rows, sharding.batch_sharding(mesh)

    def tokens(field: str) -> jax.ShapeDtypeStruct:
        side = "source" if field.startswith("source") else "target"
        shape: tuple[int, ...] = rows, getattr(config.data, f"{side}_length")
        if field == "corpus":
            shape = (rows,)
        return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=spread)

    return Batch(*(tokens(field) for field in Batch._fields))


def _too_large(error: Exception, topology: str) -> Exception:
    """Returns the error of a step that needs too much memory, or else the error."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return error
    # "Used 20.1G of 15.75G hbm", "required (20.1G) exceeds available HBM (15.75G)"
    sizes = re.findall(r"\b([\d.]+)([KMGT])\b", str(error))
    if len(sizes) < 2:
        return InputError(f"{topology} has too little memory for this step: {error}")
    powers = {"K": 10, "M": 20, "G": 30, "T": 40}
    needed, there = (float(n) * 2 ** powers[unit] / 1e9 for n, unit in sizes[:2])
    return _does_not_fit(needed, there, topology)


def _does_not_fit(needed: float, there: float, topology: str) -> InputError:
    return InputError(
        f"a chip of {topology} has {there:.1f} GB for a step that needs {needed:.1f} "
        "GB: raise training.accumulation_steps or mesh.fsdp, lower data.batch_tokens, "
        "or set model.remat='layer'."
    )
