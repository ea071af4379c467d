"""Plans of one set of settings, of several side by side, or of the best mesh."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.cost.hlo.cost import ProgramCost
from transformer_jax.cost.plan import plan
from transformer_jax.cost.program_plan import ProgramPlan
from transformer_jax.cost.search_plan import plan_search
from transformer_jax.cost.topology import topology_devices
from transformer_jax.errors import InputError

# The columns of the table: a title, and the number of a plan below it.
_COLUMNS: tuple[tuple[str, Callable[[ProgramPlan], float]], ...] = (
    ("GB accessed", lambda p: p.bytes_accessed / 1e9),
    ("GB main mem.", lambda p: p.main_memory_bytes / 1e9),
    ("GB temporary", lambda p: p.temporary_bytes / 1e9),
    ("GB total", lambda p: p.total_bytes / 1e9),
    ("GB sent", lambda p: sum(p.collective_bytes.values()) / 1e9),
    ("TFLOP", lambda p: p.flops / 1e12),
    ("ms at least", lambda p: 1e3 * max(p.roofline_seconds.values())),
    ("ms schedule", lambda p: 1e3 * p.schedule_seconds),
)

_Planner: TypeAlias = Callable[[ExperimentConfig], tuple[ProgramPlan, ProgramCost]]


def compare_plans(
    settings: ExperimentConfig,
    topology: str,
    num_slices: int,
    variants: dict[str, ExperimentConfig],
    recommend: bool,
    operations: int,
    show: Callable[[str], None],
    *,
    sentences: int | None = None,
) -> dict[str, Any]:
    """Returns the plan of the settings; with those of others, a list under `plans`.

    Args:
        variants: other settings to put beside these, by the name to show for each.
        recommend: try the few meshes worth it, and name the fastest by its schedule.
        operations: show so many of the most expensive instructions.
        show: is called with each line of the table as soon as it is known.
        sentences: plan a step of search over so many on each device, see `plan_search`.
            None = plan an update.

    Raises:
        InputError: the settings do not fit the topology. Where several are compared,
            the reason stands in the place of what does not fit.
    """
    if operations < 0:
        raise InputError(f"operations={operations} must be at least 0.")
    planner: _Planner = functools.partial(
        plan, topology=topology, num_slices=num_slices
    )
    if sentences is not None:
        planner = functools.partial(
            plan_search, topology=topology, sentences=sentences, num_slices=num_slices
        )
        if recommend:
            raise InputError(
                f"recommend=True is for an update, not for sentences={sentences}: in a "
                "search each device has its own. Leave out either."
            )
    if recommend:
        num_devices = len(topology_devices(topology, num_slices))
        for mesh in mesh_candidates(num_devices, num_slices):
            name = ",".join(
                f"mesh.{axis}={size}" for axis, size in dataclasses.asdict(mesh).items()
            )
            variants = {**variants, name: settings.replace(mesh=mesh)}
    elif not variants:
        found, cost = planner(settings)
        if operations:
            show(cost.table(operations))
        return dataclasses.asdict(found)
    else:
        variants = {"": settings, **variants}
    return _make_table(variants, planner, topology, recommend, operations, show)


def _make_table(
    variants: dict[str, ExperimentConfig],
    planner: _Planner,
    topology: str,
    recommend: bool,
    operations: int,
    show: Callable[[str], None],
) -> dict[str, Any]:
    show("".join(f"{title:>13}" for title, _ in _COLUMNS) + "  settings")
    found: dict[str, ProgramPlan] = {}
    rows: list[dict[str, Any]] = []
    for name, config in variants.items():
        shown = name or "as configured"
        try:
            found[name], cost = planner(config)
        except InputError as error:
            rows.append({"settings": name, "error": str(error)})
            show(f"{'does not fit':>13}  {shown}: {error}")
            continue
        rows.append({"settings": name, **dataclasses.asdict(found[name])})
        numbers = (f"{value(found[name]):13.4g}" for _, value in _COLUMNS)
        show("".join(numbers) + f"  {shown}")
        if operations:
            show(cost.table(operations))
    if not found:
        raise InputError(f"{topology}: nothing fits; {rows[0]['error']}")
    if not recommend:
        return {"plans": rows}
    best = min(found, key=lambda name: found[name].schedule_seconds)
    return {"recommended": found[best].mesh, "settings": best, "plans": rows}


def mesh_candidates(num_devices: int, num_slices: int = 1) -> Iterator[MeshConfig]:
    """Yields the few ways to arrange devices that are worth comparing.

    From copies of the model alone to all parameters spread, each with and without the
    work on a row shared by two devices; only `data` crosses from slice to slice.
    """
    in_slice = num_devices // num_slices
    for tensor in (1, 2):
        if in_slice % tensor:
            continue
        within = in_slice // tensor
        for fsdp in sorted({1, min(8, within), within}):
            if within % fsdp == 0:
                data = num_devices // fsdp // tensor
                yield MeshConfig(data=data, fsdp=fsdp, tensor=tensor)
