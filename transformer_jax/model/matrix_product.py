"""Matrix products with parameters."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from transformer_jax import axes
from transformer_jax.model.params import gather_parameter, make_parameter

TRANSPOSED = "transposed"
"""The collection of kernels `[outer, inner]`, which take the place of parameters."""
# Up to so many rows of x, the kernel is the left operand of a product.
_FEW_ROWS = 128


def multiply_by_kernel(
    module: nn.Module,
    x: Float[Array, "*batch inner"],
    initializer: Callable[..., Array],
    shape: tuple[int, ...],
    axis_names: tuple[str, ...],
) -> Float[Array, "*batch outer"]:
    """Returns the product of x with the parameter "kernel" of a module, as a matrix.

    Args:
        shape: of the parameter; its first axes are x's last, or its last the result's.
        axis_names: a logical name (`transformer_jax.axes`) for each of its axes.
    """
    transposed: Array | None = module.get_variable(TRANSPOSED, "kernel")
    if transposed is not None:
        return transposed_product(x, transposed)
    kernel = make_parameter(module, "kernel", initializer, shape, axis_names)
    merged = [name for name in axis_names if name != axes.KV]  # KV belongs to HEADS.
    return matrix_product(x, kernel.reshape(x.shape[-1], -1), (merged[0], merged[1]))


def matrix_product(
    x: Float[Array, "*batch inner"],
    kernel: Float[Array, "inner outer"],
    kernel_axes: tuple[str, str],
) -> Float[Array, "*batch outer"]:
    """Returns `x @ kernel` in the dtype of x, multiplied in the narrower dtype.

    In training the parameters are float32 and x has the compute dtype. In decoding the
    parameters may be narrower than x: on CPUs, bfloat16 is fast in large products
    only.

    Args:
        kernel_axes: the logical names of the kernel's axes (`transformer_jax.axes`).
    """
    dtype = min(x.dtype, kernel.dtype, key=lambda dtype: dtype.itemsize)
    return jnp.einsum(
        "...i,io->...o",
        x.astype(dtype),
        gather_parameter(kernel.astype(dtype), kernel_axes),
        preferred_element_type=x.dtype,
    )


def transposed_product(
    x: Float[Array, "*batch inner"], kernel: Float[Array, "outer inner"]
) -> Float[Array, "*batch outer"]:
    """Returns `x @ kernel.T` in the dtype of x, multiplied in that of the kernel.

    XLA on CPUs rearranges the right operand of a product at every call. Where that is
    the kernel, and x has few rows, it takes longer than the product.
    """
    rows = x.reshape(-1, x.shape[-1]).astype(kernel.dtype)
    inner = (((1,), (1,)), ((), ()))
    if rows.shape[0] > _FEW_ROWS:
        y = lax.dot_general(rows, kernel, inner, preferred_element_type=x.dtype)
    else:
        y = lax.dot_general(kernel, rows, inner, preferred_element_type=x.dtype)
        # Without the barrier XLA would exchange the operands, to save transposing.
        y = lax.optimization_barrier(y).T
    return y.reshape(*x.shape[:-1], -1)


def add_bias(
    y: Float[Array, "*batch outer"], bias: Float[Array, "*width"]
) -> Float[Array, "*batch outer"]:
    """Returns `y + bias` in the dtype of y; a bias may be that of several heads."""
    return y + jnp.reshape(bias.astype(y.dtype), (1,) * (y.ndim - 1) + (-1,))
