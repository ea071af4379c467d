"""The devices of a run, told when it begins and when it goes on with others."""

import logging

from jax.sharding import Mesh

from transformer_jax.training.resume import Start

logger = logging.getLogger(__name__)


def tell_mesh(mesh: Mesh, start: Start) -> None:
    """Logs the mesh; warns if the checkpoint was written on another one."""
    devices = f"{mesh.size} {mesh.devices.flat[0].platform.upper()} device"
    now = dict(mesh.shape)
    logger.info("on %s: %s", devices + "s" * (mesh.size > 1), _text(now))
    before = start.record.mesh
    if before is not None and dict(before) != now:
        logger.warning(
            "the checkpoint of step %d was written on another mesh, %s: sums are "
            "rounded otherwise from here on",
            start.step,
            _text(dict(before)),
        )


def _text(shape: dict[str, int]) -> str:
    return ", ".join(f"mesh.{axis}={size}" for axis, size in shape.items())
