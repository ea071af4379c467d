"""Parameters of a model: their type, and creating one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, PyTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    Params: TypeAlias = Mapping[str, "Array | Params"]
    """Nested dictionaries of float32 arrays, named after the modules of the model."""
else:
    Params = PyTree


def make_parameter(
    module: nn.Module,
    name: str,
    initializer: Callable[..., Array],
    shape: tuple[int, ...],
    axis_names: tuple[str, ...],
) -> Array:
    """Returns the float32 parameter `name` of `module`, created by its `init`.

    Args:
        axis_names: a logical name (`transformer_jax.axes`) for each axis.
    """
    partitioned = nn.with_logical_partitioning(initializer, axis_names)
    # Flax types the parameter with its axis names, and returns it without them.
    parameter: Any = module.param(name, partitioned, shape, jnp.float32)
    return jnp.asarray(parameter)  # outside jit, what is applied may be NumPy's
