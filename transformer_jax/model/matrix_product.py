"""Products with weight matrices."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def matrix_product(
    x: Float[Array, "*batch inner"], kernel: Float[Array, "inner outer"]
) -> Float[Array, "*batch outer"]:
    """Returns `x @ kernel`, multiplied in the narrower dtype of the two, in that of x.

    Parameters are float32 in training, where x says what is computed in. In decoding
    they may be narrower than x: on CPUs bfloat16 is fast in large products alone.
    """
    dtype = min(x.dtype, kernel.dtype, key=lambda dtype: dtype.itemsize)
    return jnp.einsum(
        "...i,io->...o",
        x.astype(dtype),
        kernel.astype(dtype),
        preferred_element_type=x.dtype,
    )
