"""How parameters and batches are laid out over devices.

The one module that knows the mesh: the model names logical axes
(`transformer_jax.axes`), `RULES` says over which mesh axis each is spread.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transformer_jax import axes
from transformer_jax.config import MeshConfig
from transformer_jax.errors import InputError

DATA, MODEL = "data", "model"

RULES = (
    (axes.BATCH, DATA),
    (axes.HEADS, MODEL),
    (axes.MLP, MODEL),
    (axes.VOCAB, MODEL),
    (axes.LENGTH, None),
    (axes.EMBED, None),
    (axes.KV, None),
    (axes.LAYERS, None),
)


def make_mesh(config: MeshConfig, devices: list[jax.Device] | None = None) -> Mesh:
    """Returns the devices as a grid `[data, model]`.

    Raises:
        InputError: the devices cannot be arranged as the settings ask.
    """
    devices = jax.devices() if devices is None else devices
    data = config.data or len(devices) // config.model
    if data == 0 or data * config.model != len(devices):
        raise InputError(
            f"mesh.data={config.data} times mesh.model={config.model} must be the "
            f"number of devices, {len(devices)}."
        )
    return Mesh(np.asarray(devices).reshape(data, config.model), (DATA, MODEL))


def check_rows(rows: int, mesh: Mesh) -> None:
    """Raises InputError unless a global batch can be cut evenly over the mesh."""
    if rows % mesh.shape[DATA]:
        raise InputError(
            f"data.batch_tokens / data.target_length = {rows} rows must be a multiple "
            f"of the {mesh.shape[DATA]} devices that share a batch."
        )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays `[rows, ...]`."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def shardings_of(boxed: Any, mesh: Mesh) -> Any:
    """Returns the shardings of a tree whose parameters carry logical axis names."""
    return nn.logical_to_mesh_sharding(
        nn.get_partition_spec(boxed), mesh, rules=list(RULES)
    )


def unboxed(tree: Any) -> Any:
    """Returns the tree without its axis names: plain arrays."""
    return nn.unbox(tree)


def make_global(tree: Any, mesh: Mesh) -> Any:
    """Returns global arrays from this host's rows of them, spread over the mesh."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, x), tree
    )


def on_own_rows(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Returns `function(params, *rows)` run by every device on its rows alone.

    For loops whose length depends on the rows, as a search: devices do not wait for
    each other, and nothing is gathered but the result.
    """

    def run(params: Any, *rows: Any) -> Any:
        specs = (PartitionSpec(), *(PartitionSpec(DATA) for _ in rows))
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=specs,
            out_specs=PartitionSpec(DATA),
            check_vma=False,
        )(params, *rows)

    return run
