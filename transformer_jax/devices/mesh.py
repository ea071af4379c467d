"""The mesh: devices arranged as a grid of data, fsdp and tensor."""

import math
from collections.abc import Sequence

import jax
from jax.experimental import mesh_utils
from jax.sharding import Mesh

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.first_use import prepare_process
from transformer_jax.errors import InputError

DATA, FSDP, TENSOR = MESH_AXES = ("data", "fsdp", "tensor")


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the devices as a grid `[data, fsdp, tensor]`.

    Neighbours in the grid are neighbours in the network of a TPU slice. Of several
    slices, only `data` crosses from one to another.

    Args:
        devices: all that JAX sees, if None; or those of a topology that is not
            attached, from `jax.experimental.topologies`.

    Raises:
        InputError: the devices cannot be arranged as the settings ask.

    Example:
        >>> mesh = tj.make_mesh(tj.MeshConfig(tensor=1))
        >>> mesh.axis_names
        ('data', 'fsdp', 'tensor')
    """
    require_config(config, MeshConfig)
    if devices is None:
        prepare_process()
        devices = jax.devices()
    devices = list(devices)
    sizes = _sizes(config, devices)
    # Devices of one slice have no such attribute on every platform.
    num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    if num_slices > 1 and sizes[0] % num_slices:
        if devices[0].platform == "tpu":
            raise InputError(
                f"mesh.data={sizes[0]} must be a multiple of the {num_slices} slices, "
                "as mesh.fsdp and mesh.tensor stay within one."
            )
        num_slices = 1  # Hosts of GPUs: their network may carry fsdp too.
    try:
        if num_slices > 1:
            grid = mesh_utils.create_hybrid_device_mesh(
                (sizes[0] // num_slices, *sizes[1:]),
                (num_slices, 1, 1),
                devices,
                allow_split_physical_axes=True,
            )
        else:
            grid = mesh_utils.create_device_mesh(
                sizes, devices, allow_split_physical_axes=True
            )
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{len(devices)} {devices[0].device_kind} devices cannot be arranged as "
            f"{_settings_of(sizes)}: {error}"
        ) from None
    return Mesh(grid, MESH_AXES)


def _sizes(config: MeshConfig, devices: Sequence[jax.Device]) -> tuple[int, ...]:
    """Returns the size of each axis, those of None computed."""
    num_devices = len(devices)
    asked = [getattr(config, name) for name in MESH_AXES]
    taken = math.prod(size or 1 for size in asked)
    sizes = [size or 1 for size in asked]
    if None in asked and num_devices % taken == 0:
        sizes[asked.index(None)] = num_devices // taken
    if math.prod(sizes) == num_devices:
        return tuple(sizes)
    of_cpu = ""
    if devices[0].platform == "cpu":
        of_cpu = "; JAX_NUM_CPU_DEVICES sets how many a CPU is shown as"
    given = [f"mesh.{n}={s}" for n, s in zip(MESH_AXES, asked, strict=True) if s]
    raise InputError(
        f"{' times '.join(given)} must {'divide' if None in asked else 'be'} the "
        f"number of devices, {num_devices}{of_cpu}."
    )


def _settings_of(sizes: Sequence[int]) -> str:
    return ", ".join(f"mesh.{n}={s}" for n, s in zip(MESH_AXES, sizes, strict=True))


def num_row_groups(mesh: Mesh) -> int:
    """Returns into how many parts the rows of a batch are cut, `data` times `fsdp`."""
    return int(mesh.shape[DATA] * mesh.shape[FSDP])


def check_rows(rows: int, mesh: Mesh, accumulation_steps: int = 1) -> None:
    """Checks that each part of a global batch can be cut evenly over the mesh.

    Raises:
        InputError: it cannot.
    """
    groups = num_row_groups(mesh)
    if rows % (groups * accumulation_steps):
        parts = (
            ""
            if accumulation_steps == 1
            else f" times training.accumulation_steps={accumulation_steps}"
        )
        raise InputError(
            f"data.batch_tokens / data.target_length = {rows} rows must be a multiple "
            f"of the {groups} devices that share a batch (mesh.data={mesh.shape[DATA]} "
            f"times mesh.fsdp={mesh.shape[FSDP]}){parts}."
        )
