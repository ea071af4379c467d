"""Products with kernels that are stored transposed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.model.matrix_product import transposed_product


@pytest.mark.parametrize("shape", [(16,), (3, 4, 16), (128, 16), (2, 65, 16)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_the_product_with_the_transpose(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    kernel = jnp.asarray(rng.standard_normal((24, 16)), dtype)
    found = jax.jit(transposed_product)(x, kernel)
    assert found.dtype == jnp.float32
    operands = np.asarray(jnp.asarray(x, dtype), float), np.asarray(kernel, float)
    expected = operands[0] @ operands[1].T
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "result"), [(8, "f32[24,8]"), (200, "f32[200,24]")])
def test_the_kernel_is_the_left_operand_for_few_rows(rows, result):
    """Also in the compiled program, where XLA likes to exchange operands."""
    x = jax.ShapeDtypeStruct((rows // 4, 4, 16), jnp.float32)
    kernel = jax.ShapeDtypeStruct((24, 16), jnp.float32)
    compiled = jax.jit(transposed_product).lower(x, kernel).compile().as_text()
    products = [line for line in compiled.splitlines() if " dot(" in line]
    assert len(products) == 1
    assert f"= {result}" in products[0]
