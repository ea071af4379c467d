"""Matrix products with parameters."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from transformer_jax.model.params import gather_parameter


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


def add_bias(
    y: Float[Array, "*batch outer"], bias: Float[Array, "*width"]
) -> Float[Array, "*batch outer"]:
    """Returns `y + bias` in the dtype of y; a bias may be that of several heads."""
    return y + jnp.reshape(bias.astype(y.dtype), (1,) * (y.ndim - 1) + (-1,))
