"""Label-smoothed cross entropy that never holds the logits of a batch whole."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class LossSums(NamedTuple):
    """Sums over real tokens; divide by their number."""

    loss: Array  # float32 [], label-smoothed: what training minimises
    nll: Array  # float32 [], -log p(label): what perplexity is made of


def label_smoothed_cross_entropy(
    hidden: Float[Array, "rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    labels: Int[Array, "rows length"],
    weights: Float[Array, "rows length"],
    *,
    label_smoothing: float,
    slice_tokens: int,
) -> LossSums:
    """Returns the sums of loss and negative log-likelihood, in nats.

    The target distribution is `1 - eps` on the label plus `eps / vocab` everywhere:
    `loss = -(1 - eps) log p(label) - eps / vocab * sum_v log p(v)`.

    The projection to logits is part of this function. It runs over slices of about
    `slice_tokens` positions, cut along the length so that every device keeps its rows.
    Under differentiation the gradient of a slice is taken while its logits are there,
    which saves projecting twice; the gradient of `nll` is zero, it is for reports.

    Args:
        hidden: decoder outputs, in the dtype the products are computed in.
        weights: 1 for real tokens, 0 for padding.

    Paper: section 5.4; the smoothing is uniform over the vocabulary, as in its
    reference for it (Szegedy et al., 2016).
    """
    rows, length = labels.shape
    num_slices = -(-length // max(1, slice_tokens // rows))
    slice_length = -(-length // num_slices)
    padding = num_slices * slice_length - length

    def slices(x: Array) -> Array:
        x = jnp.pad(x, [(0, 0), (0, padding)] + [(0, 0)] * (x.ndim - 2))
        x = x.reshape(rows, num_slices, slice_length, *x.shape[2:])
        return jnp.moveaxis(x, 1, 0)

    sums = _sliced_loss(
        slices(hidden), matrix, slices(labels), slices(weights), label_smoothing
    )
    return LossSums(*sums)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _sliced_loss(hidden, matrix, labels, weights, smoothing):  # type: ignore[no-untyped-def]
    matrix = matrix.astype(hidden.dtype)
    mean_row = _mean_row(matrix)

    def add_slice(sums, inputs):  # type: ignore[no-untyped-def]
        slice_sums, _ = _slice_loss(*inputs, matrix, mean_row, smoothing)  # type: ignore[call-arg]
        return jax.tree.map(jnp.add, sums, slice_sums), None

    zeros = (jnp.float32(0), jnp.float32(0))
    return jax.lax.scan(add_slice, zeros, (hidden, labels, weights))[0]


def _sliced_loss_forward(hidden, matrix, labels, weights, smoothing):  # type: ignore[no-untyped-def]
    compute_matrix = matrix.astype(hidden.dtype)
    mean_row = _mean_row(compute_matrix)

    def add_slice(carry, inputs):  # type: ignore[no-untyped-def]
        sums, matrix_gradient = carry
        slice_sums, logits_gradient = _slice_loss(  # type: ignore[call-arg]
            *inputs, compute_matrix, mean_row, smoothing
        )
        # Products in the compute dtype, like every other; their sum in float32.
        logits_gradient = logits_gradient.astype(hidden.dtype)
        hidden_gradient = jnp.einsum("rlv,vd->rld", logits_gradient, compute_matrix)
        # Transposed, so that the large factor is read as it lies.
        matrix_gradient += jnp.einsum(
            "rld,rlv->dv",
            inputs[0],
            logits_gradient,
            preferred_element_type=jnp.float32,
        )
        sums = jax.tree.map(jnp.add, sums, slice_sums)
        return (sums, matrix_gradient), hidden_gradient

    zeros = (jnp.float32(0), jnp.float32(0))
    carry = (zeros, jnp.zeros(matrix.shape[::-1], jnp.float32))
    (sums, matrix_gradient), hidden_gradient = jax.lax.scan(
        add_slice, carry, (hidden, labels, weights)
    )
    return sums, (hidden_gradient, matrix_gradient.T.astype(matrix.dtype))


def _sliced_loss_backward(smoothing, gradients, cotangents):  # type: ignore[no-untyped-def]
    loss_cotangent, _ = cotangents
    hidden_gradient, matrix_gradient = gradients
    scale = loss_cotangent.astype(hidden_gradient.dtype)
    return scale * hidden_gradient, loss_cotangent * matrix_gradient, None, None


_sliced_loss.defvjp(_sliced_loss_forward, _sliced_loss_backward)


def _mean_row(matrix: Array) -> Array:
    return jnp.mean(matrix, axis=0, dtype=jnp.float32)


def _slice_loss(hidden, labels, weights, matrix, mean_row, smoothing):  # type: ignore[no-untyped-def]
    """Returns `(loss, nll)` of one slice and the gradient of its loss by its logits.

    The exponentials are taken once, and label and mean logit from the factors, so that
    the logits are passed over as few times as can be: they are the largest array.
    """
    logits = jnp.einsum(
        "rld,vd->rlv", hidden, matrix, preferred_element_type=jnp.float32
    )
    vocab = matrix.shape[0]
    largest = jnp.max(logits, axis=-1)
    exponentials = jnp.exp(logits - largest[..., None])
    normaliser = jnp.sum(exponentials, axis=-1)
    log_normaliser = largest + jnp.log(normaliser)
    hidden_32 = hidden.astype(jnp.float32)
    label_logits = jnp.sum(hidden_32 * matrix[labels].astype(jnp.float32), axis=-1)
    mean_logits = hidden_32 @ mean_row
    nll = log_normaliser - label_logits
    loss = (1.0 - smoothing) * nll + smoothing * (log_normaliser - mean_logits)

    is_label = labels[..., None] == jnp.arange(vocab)[None, None]
    target = jnp.where(is_label, 1.0 - smoothing, 0.0) + smoothing / vocab
    probabilities = exponentials / normaliser[..., None]
    gradient = (probabilities - target) * weights[..., None]
    sums = (jnp.sum(loss * weights), jnp.sum(nll * weights))
    return sums, gradient
