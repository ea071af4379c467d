"""Parameters of a model: their type, and creating one."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from transformer_jax import axes

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


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def gather_parameter(parameter: Array, axis_names: tuple[str, ...]) -> Array:
    """Returns a parameter whose parts on the devices of a copy are gathered once.

    Its gradient is summed and scattered once. Left to itself the compiler multiplies
    part by part, in products too narrow for the chip, and sums some gradients whole.

    Args:
        axis_names: of the parameter, as given to `make_parameter`.
    """
    whole = tuple(None if name == axes.EMBED else name for name in axis_names)
    gathered: Array = nn.with_logical_constraint(parameter, whole)
    return gathered


def _gather_forward(
    parameter: Array, axis_names: tuple[str, ...]
) -> tuple[Array, None]:
    return gather_parameter(parameter, axis_names), None


def _gather_backward(
    axis_names: tuple[str, ...], _: None, gradient: Array
) -> tuple[Array]:
    scattered: Array = nn.with_logical_constraint(gradient, axis_names)
    return (scattered,)


gather_parameter.defvjp(_gather_forward, _gather_backward)
