"""The cost of an update on TPUs that are not attached, from compiling it for them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.cost.hlo.cost import ProgramCost, program_cost
from transformer_jax.cost.model_flops import attention_score_flops, training_flops
from transformer_jax.cost.program_plan import (
    ProgramPlan,
    compile_program,
    find_topology,
    plan_fields,
)
from transformer_jax.cost.schedule import schedule_of
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import check_rows, make_mesh
from transformer_jax.training.state import abstract_state
from transformer_jax.training.step import make_train_step

_REMEDY = (
    "raise training.accumulation_steps or mesh.fsdp, lower data.batch_tokens, or set "
    "model.remat='layer'"
)


@dataclass(frozen=True, kw_only=True)
class Plan(ProgramPlan):
    """The cost of an update for each chip of a topology."""

    model_flops: float
    """By the model's formula, as if every position were a token."""
    attention_score_flops: float
    """Of attention scores over whole rows, which are not in the formula."""
    target_tokens_per_second_at_most: float
    """All chips together, in the longest of `roofline_seconds`, as if every position
    were a token."""
    model_flops_utilization_at_most: float
    """`model_flops` in `schedule_seconds`, over the chip's peak rate."""


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
    found = find_topology(topology, num_slices)
    mesh = make_mesh(config.mesh, found.devices)
    data = config.data
    check_rows(data.rows, mesh, config.training.accumulation_steps)

    def lower() -> Any:
        step: Any = make_train_step(config, mesh)
        return step.lower(abstract_state(config, mesh), _abstract_batch(config, mesh))

    compiled = compile_program(lower, "an update", found, _REMEDY)
    cost = program_cost(compiled.text)
    fields = plan_fields(
        compiled, cost, schedule_of, found, mesh, config.model.compute_dtype
    )
    num_chips = fields["num_chips"]
    source_slots = data.rows * data.source_length
    target_slots = data.rows * data.target_length
    model_flops = training_flops(config.model, source_slots, target_slots)
    score_flops = attention_score_flops(
        config.model, data.rows, data.source_length, data.target_length
    )
    seconds = fields["roofline_seconds"][fields["bound_by"]]
    peak = found.chip.peak_flops(config.model.compute_dtype)
    utilization = model_flops / num_chips / fields["schedule_seconds"] / peak
    planned = Plan(
        **fields,
        model_flops=model_flops / num_chips,
        attention_score_flops=score_flops / num_chips,
        target_tokens_per_second_at_most=target_slots / seconds,
        model_flops_utilization_at_most=utilization,
    )
    return planned, cost


def _abstract_batch(config: ExperimentConfig, mesh: jax.sharding.Mesh) -> Batch:
    rows, spread = config.data.rows, sharding.batch_sharding(mesh)

    def tokens(field: str) -> jax.ShapeDtypeStruct:
        side = "source" if field.startswith("source") else "target"
        shape: tuple[int, ...] = rows, getattr(config.data, f"{side}_length")
        if field == "corpus":
            shape = (rows,)
        return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=spread)

    return Batch(*(tokens(field) for field in Batch._fields))
