"""Functions that every device runs on its own rows alone."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import MESH_AXES

_Result = TypeVar("_Result")


def own_rows(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays `[rows, ...]` over all devices, `on_own_rows`."""
    return NamedSharding(mesh, PartitionSpec(MESH_AXES))


def rows_to_read(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays `[rows, ...]` that every process reads whole.

    A process that has all devices reads what each has. Several exchange them first.
    """
    if mesh.is_multi_process:
        return sharding.replicated_sharding(mesh)
    return own_rows(mesh)


def make_own_rows(tree: PyTree, mesh: Mesh) -> PyTree:
    """Returns global arrays for `on_own_rows`; every process passes all rows."""
    rows = own_rows(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, rows, x.__getitem__), tree
    )


def on_own_rows(function: Callable[..., _Result], mesh: Mesh) -> Callable[..., _Result]:
    """Returns `function(params, *rows)` run by every device on its rows alone.

    For loops whose length depends on the rows, as a search: devices do not wait for
    each other. Only the parameters are gathered, once. As every device has all of them,
    those along `tensor` take different rows too: the number of rows must be a multiple
    of `mesh.size`.
    """
    rows_spec = PartitionSpec(MESH_AXES)

    def run(params: PyTree, *rows: Array) -> _Result:
        specs = (PartitionSpec(), *(rows_spec for _ in rows))
        result: _Result = jax.shard_map(
            function,
            mesh=mesh,
            in_specs=specs,
            out_specs=rows_spec,
            check_vma=False,
        )(params, *rows)
        return result

    return run
