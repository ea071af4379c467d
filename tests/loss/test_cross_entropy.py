"""The fused, sliced loss against NumPy, PyTorch and a plain one with whole logits."""

import functools
import math

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.loss.cross_entropy import label_smoothed_cross_entropy

ROWS, LENGTH, WIDTH, VOCAB = 3, 7, 8, 50


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((ROWS, LENGTH, WIDTH))
    matrix = rng.standard_normal((VOCAB, WIDTH))
    labels = rng.integers(0, VOCAB, (ROWS, LENGTH))
    weights = (rng.random((ROWS, LENGTH)) < 0.7).astype(np.float64)
    return hidden, matrix, labels, weights


def by_numpy(hidden, matrix, labels, weights, smoothing):
    """Loss and nll in float64 from the distribution the paper smooths."""
    logits = hidden @ matrix.T
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    target = (1 - smoothing) * np.eye(VOCAB)[labels] + smoothing / VOCAB
    loss = -(target * log_probs).sum(axis=-1)
    nll = -np.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]
    return (loss * weights).sum(), (nll * weights).sum()


def as_arrays(inputs, dtype=jnp.float32):
    hidden, matrix, labels, weights = inputs
    return (
        jnp.asarray(hidden, dtype), jnp.asarray(matrix, jnp.float32),
        jnp.asarray(labels), jnp.asarray(weights, jnp.float32),
    )  # fmt: skip


@functools.partial(jax.jit, static_argnums=(4, 5))
def value_and_gradients(hidden, matrix, labels, weights, smoothing, slice_tokens):
    def loss(hidden, matrix):
        sums = label_smoothed_cross_entropy(
            hidden, matrix, labels, weights,
            label_smoothing=smoothing, slice_tokens=slice_tokens,
        )  # fmt: skip
        return 3.0 * sums.loss, sums  # A cotangent that is not 1.

    return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(hidden, matrix)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_sums_are_those_of_the_formula(inputs, smoothing):
    sums = label_smoothed_cross_entropy(
        *as_arrays(inputs), label_smoothing=smoothing, slice_tokens=1_000
    )
    expected = by_numpy(*inputs, smoothing)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    if smoothing == 0.0:
        assert sums.loss == sums.nll


# One position a row at a time; two, of which 7 is no multiple; all; more than all.
@pytest.mark.parametrize("slice_tokens", [1, 6, 21, 1_000])
def test_slices_change_neither_sums_nor_gradients(inputs, slice_tokens):
    arrays = as_arrays(inputs)

    def plain(hidden, matrix):
        _, _, labels, weights = arrays
        log_probs = jax.nn.log_softmax(jnp.einsum("rld,vd->rlv", hidden, matrix))
        target = 0.9 * jax.nn.one_hot(labels, VOCAB) + 0.1 / VOCAB
        return -3.0 * jnp.sum(target * log_probs * weights[..., None])

    (_, sums), gradients = value_and_gradients(*arrays, 0.1, slice_tokens)
    np.testing.assert_allclose(sums, by_numpy(*inputs, 0.1), rtol=1e-5)
    expected = jax.grad(plain, argnums=(0, 1))(*arrays[:2])
    for gradient, reference in zip(gradients, expected, strict=True):
        assert gradient.dtype == jnp.float32
        np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-5)
    # Padding: exactly nothing.
    assert np.all(np.asarray(gradients[0])[np.asarray(inputs[3]) == 0] == 0)


def test_sums_are_those_of_torch(inputs):
    torch = pytest.importorskip("torch")
    hidden, matrix, labels, weights = map(torch.from_numpy, inputs)
    real = weights != 0
    expected = torch.nn.functional.cross_entropy(
        (hidden @ matrix.T)[real], labels[real], label_smoothing=0.1, reduction="sum"
    )
    sums = label_smoothed_cross_entropy(
        *as_arrays(inputs), label_smoothing=0.1, slice_tokens=6
    )
    np.testing.assert_allclose(sums.loss, expected, rtol=1e-5)


def test_a_bias_and_its_gradient_are_those_of_torch(inputs):
    torch = pytest.importorskip("torch")
    hidden, matrix, labels, weights = map(torch.from_numpy, inputs)
    bias = np.random.default_rng(1).standard_normal(VOCAB)
    leaf = torch.tensor(bias, requires_grad=True)
    real = weights != 0
    expected = torch.nn.functional.cross_entropy(
        (hidden @ matrix.T + leaf)[real], labels[real], label_smoothing=0.1,
        reduction="sum",
    )  # fmt: skip
    expected.backward()

    def loss(bias):
        return label_smoothed_cross_entropy(
            *as_arrays(inputs), bias=bias, label_smoothing=0.1, slice_tokens=6
        ).loss

    value, gradient = jax.value_and_grad(loss)(jnp.asarray(bias, jnp.float32))
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-5)
    np.testing.assert_allclose(loss(jnp.asarray(bias, jnp.float32)), value, rtol=1e-6)
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-4, atol=1e-5)


def test_no_gradient_through_what_is_only_reported(inputs):
    hidden, matrix, labels, weights = as_arrays(inputs)

    def nll(hidden):
        return label_smoothed_cross_entropy(
            hidden, matrix, labels, weights, label_smoothing=0.1, slice_tokens=6
        ).nll

    np.testing.assert_array_equal(jax.grad(nll)(hidden), jnp.zeros_like(hidden))


def test_large_logits_do_not_overflow(inputs):
    hidden, matrix, labels, weights = inputs
    arrays = as_arrays((100 * hidden, matrix, labels, weights))
    (_, sums), gradients = value_and_gradients(*arrays, 0.1, 1_000)
    logits = 100 * hidden @ matrix.T
    largest = logits.max(axis=-1, keepdims=True)
    log_normaliser = np.log(np.exp(logits - largest).sum(axis=-1)) + largest[..., 0]
    label_logits = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    expected = ((log_normaliser - label_logits) * weights).sum()
    np.testing.assert_allclose(sums.nll, expected, rtol=1e-5)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_bfloat16_is_close_and_its_sums_and_matrix_gradient_are_float32(inputs):
    (_, sums), (by_hidden, by_matrix) = value_and_gradients(
        *as_arrays(inputs, jnp.bfloat16), 0.1, 6
    )
    assert sums.loss.dtype == sums.nll.dtype == by_matrix.dtype == jnp.float32
    assert by_hidden.dtype == jnp.bfloat16
    np.testing.assert_allclose(sums, by_numpy(*inputs, 0.1), rtol=0.01)
    _, (exact_hidden, exact_matrix) = value_and_gradients(*as_arrays(inputs), 0.1, 6)
    scale = jnp.abs(exact_hidden).max()
    np.testing.assert_allclose(by_hidden / scale, exact_hidden / scale, atol=0.02)
    scale = jnp.abs(exact_matrix).max()
    np.testing.assert_allclose(by_matrix / scale, exact_matrix / scale, atol=0.02)


def shapes_in(jaxpr):
    """Yields the shape of every array in a jaxpr and in all it calls."""
    for equation in jaxpr.eqns:
        for variable in (*equation.invars, *equation.outvars):
            yield variable.aval.shape
        for value in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda leaf: isinstance(leaf, jax.extend.core.ClosedJaxpr),
        ):
            inner = getattr(value, "jaxpr", value)
            if isinstance(inner, jax.extend.core.Jaxpr):
                yield from shapes_in(inner)


@pytest.mark.parametrize("slice_tokens", [6, 1_000])
def test_logits_of_a_slice_exist_and_of_a_batch_never(inputs, slice_tokens):
    def with_and_without_gradients(*arrays):
        sums = label_smoothed_cross_entropy(
            *arrays, label_smoothing=0.1, slice_tokens=slice_tokens
        )
        return sums, value_and_gradients(*arrays, 0.1, slice_tokens)

    jaxpr = jax.make_jaxpr(with_and_without_gradients)(*as_arrays(inputs))
    logits = [s for s in shapes_in(jaxpr.jaxpr) if VOCAB in s and WIDTH not in s]
    # 6 tokens are 2 positions of each row. A single slice shows that the walk sees
    # what it is to exclude.
    largest = min(slice_tokens, ROWS * LENGTH) * VOCAB
    assert max(map(math.prod, logits)) == largest
