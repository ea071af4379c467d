"""The layout of parameters and batches over devices.

The model names logical axes (`transformer_jax.axes`); `RULES` maps each to the mesh
axis it is spread over.

Devices along `data` hold copies of the model. Devices along `fsdp` share the rows of a
batch too, and each keeps a part of every parameter, which is gathered before use.
Devices along `tensor` share the work on a row. The order is that of their traffic, the
least first: along `tensor`, which has most, devices are nearest to each other.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from transformer_jax import axes
from transformer_jax.devices.mesh import DATA, FSDP, TENSOR, num_row_groups
from transformer_jax.errors import InputError

_Tree = TypeVar("_Tree")

# In order of precedence: of an activation [batch, length, embed] the rows take `fsdp`,
# so that its width stays whole.
RULES = (
    (axes.BATCH, (DATA, FSDP)),
    (axes.EMBED, FSDP),
    (axes.HEADS, TENSOR),
    (axes.MLP, TENSOR),
    (axes.VOCAB, TENSOR),
    (axes.VECTOR, None),
    (axes.LENGTH, None),
    (axes.KV, None),
    (axes.LAYERS, None),
)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays `[rows, ...]`."""
    return NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def place(tree: _Tree, shardings: PyTree) -> _Tree:
    """Returns arrays spread over devices.

    JAX alone moves no array of one process's devices to those of several.

    Args:
        tree: arrays that every process holds whole, or that lie on all devices.
        shardings: one, or a tree of them.
    """
    placed: _Tree
    if jax.process_count() == 1:
        placed = jax.device_put(tree, shardings)
    elif all(getattr(x, "is_fully_addressable", True) for x in jax.tree.leaves(tree)):
        placed = jax.tree.map(
            lambda x, sharding: jax.make_array_from_callback(
                x.shape, sharding, np.asarray(x).__getitem__
            ),
            tree,
            jax.tree.broadcast(shardings, tree),
        )
    else:
        placed = jax.jit(lambda x: x, out_shardings=shardings)(tree)
    return placed


def shardings_of(boxed: PyTree, mesh: Mesh) -> PyTree:
    """Returns the shardings of a tree whose parameters carry logical axis names.

    Args:
        boxed: shapes or arrays in Flax's boxes with axis names; a leaf without a box is
            whole on every device.

    Raises:
        InputError: an axis has no rule, or its size is no multiple of the devices it is
            spread over.
    """

    def sharding_of(
        path: tuple[Any, ...], leaf: nn.Partitioned[Array] | Array
    ) -> NamedSharding:
        if not isinstance(leaf, nn.Partitioned):
            return replicated_sharding(mesh)
        name = _path_name(path)
        spec = _checked_spec(name, leaf.value.shape, leaf.names, mesh)
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(
        sharding_of, boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned)
    )


def shardings_like(
    tree: PyTree, params: PyTree, shardings: PyTree, mesh: Mesh
) -> PyTree:
    """Returns the shardings of a tree that holds arrays made after parameters.

    An array whose path ends with that of a parameter, and that has its shape, lies as
    the parameter does; any other is whole on every device.

    Args:
        tree: shapes or arrays, as the state of any optimizer.
        shardings: those of the parameters.
    """
    layouts = {
        _path_name(path): (leaf.shape, layout)
        for (path, leaf), layout in zip(
            jax.tree_util.tree_leaves_with_path(params),
            jax.tree.leaves(shardings),
            strict=True,
        )
    }

    def sharding_of(path: tuple[Any, ...], leaf: Array) -> NamedSharding:
        name = f"/{_path_name(path)}"
        for ending, (shape, layout) in layouts.items():
            if name.endswith(f"/{ending}") and leaf.shape == shape:
                found: NamedSharding = layout
                return found
        return replicated_sharding(mesh)

    return jax.tree_util.tree_map_with_path(sharding_of, tree)


def _path_name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _checked_spec(
    name: str, shape: Sequence[int], names: Sequence[str | None], mesh: Mesh
) -> PartitionSpec:
    known = [axis for axis, _ in RULES]
    for axis in names:
        if axis is not None and axis not in known:
            raise InputError(
                f"{name}: its axis {axis!r} has no rule in sharding.RULES; it knows "
                f"{', '.join(known)}."
            )
    spec = nn.logical_to_mesh_axes(tuple(names), RULES) or PartitionSpec()
    for size, axis, over in zip(shape, names, spec, strict=True):
        mesh_axes = (over,) if isinstance(over, str) else over or ()
        devices = math.prod(mesh.shape[mesh_axis] for mesh_axis in mesh_axes)
        if size % devices:
            settings = " times ".join(f"mesh.{mesh_axis}" for mesh_axis in mesh_axes)
            raise InputError(
                f"{name}: its axis {axis!r} of size {size} must be a multiple of "
                f"{settings}={devices}, over which it is spread: change either."
            )
    return spec


def unbox(tree: PyTree) -> PyTree:
    """Returns the tree without its axis names: plain arrays."""
    return nn.unbox(tree)


@contextlib.contextmanager
def activation_layout(mesh: Mesh) -> Iterator[None]:
    """Lays out the activations of all calls of the model inside, by `RULES`.

    Enter it inside the function that is compiled. The devices come from the shardings
    of the function's arguments or of its result::

        def step(params, batch):
            with sharding.activation_layout(mesh):
                ...

    There `nn.with_logical_constraint(x, (axes.BATCH, axes.LENGTH, axes.EMBED))`
    constrains x by `RULES`; outside it does nothing. A kernel that runs on the part of
    each device finds the mesh with `jax.sharding.get_abstract_mesh()` (outside, its
    `.empty` is True) and its specs with `nn.logical_to_mesh_axes(names)`;
    `jax.shard_map(kernel, in_specs=..., out_specs=...)` takes that mesh by itself.

    Inside `on_own_rows` there is no mesh: each device is alone with its rows.
    """
    with (
        jax.sharding.use_abstract_mesh(mesh.abstract_mesh),
        nn.logical_axis_rules(RULES),
    ):
        yield


def rows_of_host(rows: int, mesh: Mesh) -> np.ndarray:
    """Returns the rows of a global batch that this process's devices need, ascending.

    Two processes need the same rows where `tensor` crosses from one to the other.

    Args:
        rows: of the global batch, a multiple of `num_row_groups`.
    """
    indices = batch_sharding(mesh).addressable_devices_indices_map((rows,))
    parts = {index[0].indices(rows) for index in indices.values() if index is not None}
    return np.concatenate([np.arange(*part) for part in sorted(parts)])


def make_global(tree: _Tree, mesh: Mesh) -> _Tree:
    """Returns global arrays from this process's rows of them, spread over the mesh.

    Args:
        tree: NumPy arrays `[rows, ...]` with the rows that `rows_of_host` names, in its
            order; all rows where there is one process.

    Raises:
        InputError: the devices cannot share the rows equally.

    Example:
        >>> import numpy as np
        >>> mesh = tj.make_mesh(tj.MeshConfig())
        >>> batch = tj.make_global(np.ones((mesh.size, 4), np.int32), mesh)
        >>> len(batch.addressable_shards) == mesh.size
        True
    """
    sharding = batch_sharding(mesh)
    groups = num_row_groups(mesh)
    own_groups = rows_of_host(groups, mesh)

    def to_global(local: np.ndarray) -> jax.Array:
        height, left = divmod(len(local), len(own_groups))
        if left or not height:
            raise InputError(
                f"{len(local)} rows cannot be spread equally: give this process a "
                f"multiple of {len(own_groups)}."
            )

        def part(index: Any) -> np.ndarray:
            first, _, _ = index[0].indices(height * groups)
            place = int(np.searchsorted(own_groups, first // height)) * height
            return local[place : place + height]

        shape = (height * groups, *local.shape[1:])
        return jax.make_array_from_callback(shape, sharding, part)

    placed: _Tree = jax.tree.map(to_global, tree)
    return placed
