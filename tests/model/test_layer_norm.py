"""Layer normalisation and its written-out gradient against torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.model.layer_norm import layer_norm

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_value_and_gradients_are_torch_s(epsilon):
    rng = np.random.default_rng(0)
    x = 2 + 3 * rng.standard_normal((4, 5, 16))
    scale, bias = 1 + rng.standard_normal((2, 16))
    scale[3] = 0.0  # Nothing may be divided by it.
    weights = rng.standard_normal(x.shape)

    inputs = [torch.tensor(array, requires_grad=True) for array in (x, scale, bias)]
    expected = torch.nn.functional.layer_norm(
        inputs[0], (16,), inputs[1], inputs[2], epsilon
    )
    (expected * torch.tensor(weights)).sum().backward()

    def value(x, scale, bias):
        y = layer_norm(x, scale, bias, epsilon)
        return jnp.sum(y * weights.astype(np.float32)), y

    arrays = [jnp.asarray(array, jnp.float32) for array in (x, scale, bias)]
    gradients, y = jax.jit(jax.grad(value, (0, 1, 2), has_aux=True))(*arrays)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    for gradient, tensor in zip(gradients, inputs, strict=True):
        wanted = tensor.grad.numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


def test_the_backward_pass_keeps_x_once_and_in_its_own_dtype():
    x = jnp.ones((8, 128), jnp.bfloat16)
    vector = jnp.ones(128)
    _, backward = jax.vjp(lambda *inputs: layer_norm(*inputs, 1e-6), x, vector, vector)
    kept = [leaf for leaf in jax.tree.leaves(backward) if leaf.shape == x.shape]
    assert [leaf.dtype for leaf in kept] == [jnp.bfloat16]
