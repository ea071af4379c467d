"""Label-smoothed cross entropy, fused with the projection to logits."""

import functools
import operator
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from transformer_jax.loss.position_slices import split_positions
from transformer_jax.model.matrix_product import add_bias

_Gradients: TypeAlias = tuple[Array, Array, Array | None]
"""Of the loss by hidden, matrix and bias."""

SLICE_TOKENS = 2_048


class LossSums(NamedTuple):
    """Sums over real tokens, in nats; divide by the number of tokens for means.

    Example:
        >>> import numpy as np
        >>> sums = tj.LossSums(loss=np.float32(8.0), nll=np.float32(6.0))
        >>> float(sums.nll) / 4
        1.5
    """

    loss: Array  # float32 []: with label smoothing, the objective of training
    nll: Array  # float32 []: -log p(label), the exponent of perplexity


class CorpusLossSums(NamedTuple):
    """As `LossSums`, with the sums over the rows of each of several corpora."""

    loss: Array
    nll: Array
    by_corpus: Array  # float32 [2, corpora]: loss and nll


class _Sums(NamedTuple):
    """As `LossSums`, and where they are asked for, the sums of each row."""

    loss: Array
    nll: Array
    by_row: Array | None = None  # float32 [2, rows]


def label_smoothed_cross_entropy(
    hidden: Float[Array, "rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    labels: Int[Array, "rows length"],
    weights: Float[Array, "rows length"],
    *,
    bias: Float[Array, " vocab"] | None = None,
    label_smoothing: float = 0.1,
    slice_tokens: int = SLICE_TOKENS,
) -> LossSums:
    """Returns the sums of loss and negative log-likelihood, in nats.

    The target distribution is `1 - eps` on the label plus `eps / vocab` everywhere:
    `loss = -(1 - eps) log p(label) - eps / vocab * sum_v log p(v)`.

    The projection to logits is part of this function and runs over one slice of
    positions at a time. Under differentiation the gradient of a slice is computed while
    its logits exist, so no slice is projected twice. The gradient of `nll` is zero: it
    is for reports only.

    Args:
        hidden: decoder outputs, in the dtype the products are computed in.
        weights: 1 for real tokens, 0 for padding.
        bias: is added to the logits; None = none.
        slice_tokens: number of positions in a slice, about.

    Example:
        >>> import jax.numpy as jnp
        >>> hidden, matrix = jnp.zeros((1, 3, 8)), jnp.ones((20, 8))
        >>> labels, weights = jnp.zeros((1, 3), jnp.int32), jnp.ones((1, 3))
        >>> sums = tj.label_smoothed_cross_entropy(hidden, matrix, labels, weights)
        >>> bool(jnp.allclose(sums.nll, 3 * jnp.log(20)))  # each token has 1 / 20
        True

    Paper: section 5.4; the smoothing is uniform over the vocabulary, as in its
    reference for it (Szegedy et al., 2016).
    """
    split = functools.partial(split_positions, slice_tokens=slice_tokens)
    sums: _Sums = _sliced_loss(
        split(hidden),
        matrix,
        bias,
        split(labels),
        split(weights),
        label_smoothing,
        False,
    )
    return LossSums(sums.loss, sums.nll)


def cross_entropy_by_corpus(
    hidden: Float[Array, "rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    labels: Int[Array, "rows length"],
    weights: Float[Array, "rows length"],
    corpora: Bool[Array, "rows corpora"],
    *,
    bias: Float[Array, " vocab"] | None = None,
    label_smoothing: float = 0.1,
    slice_tokens: int = SLICE_TOKENS,
) -> CorpusLossSums:
    """Returns what `label_smoothed_cross_entropy` does, and its sums by corpus.

    Args:
        corpora: True in the column of the corpus of a row.
    """
    split = functools.partial(split_positions, slice_tokens=slice_tokens)
    sums: _Sums = _sliced_loss(
        split(hidden),
        matrix,
        bias,
        split(labels),
        split(weights),
        label_smoothing,
        True,
    )
    assert sums.by_row is not None
    return CorpusLossSums(sums.loss, sums.nll, sum_by_corpus(sums.by_row, corpora))


def sum_by_corpus(
    values: Float[Array, "*lists rows"], corpora: Bool[Array, "rows corpora"]
) -> Float[Array, "*lists corpora"]:
    """Returns the sums of the values of the rows of each corpus."""
    return jnp.sum(values[..., None], axis=-2, where=corpora)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _sliced_loss(
    hidden: Float[Array, "slices rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    bias: Float[Array, " vocab"] | None,
    labels: Int[Array, "slices rows length"],
    weights: Float[Array, "slices rows length"],
    smoothing: float,
    by_row: bool,
) -> _Sums:
    """Returns the sums, with `by_row` also those of each row."""
    matrix = matrix.astype(hidden.dtype)
    mean_row = _mean_row(matrix)

    def add_slice(
        sums: _Sums, inputs: tuple[Array, Array, Array]
    ) -> tuple[_Sums, None]:
        slice_sums, _ = _slice_loss(*inputs, matrix, bias, mean_row, smoothing, by_row)
        return _add(sums, slice_sums), None

    zero = _zero_sums(labels.shape[1] if by_row else None)
    sums, _ = jax.lax.scan(add_slice, zero, (hidden, labels, weights))
    return sums


def _sliced_loss_forward(
    hidden: Array,
    matrix: Array,
    bias: Array | None,
    labels: Array,
    weights: Array,
    smoothing: float,
    by_row: bool,
) -> tuple[_Sums, _Gradients]:
    """Returns the sums, and the gradients of the loss by hidden, matrix and bias."""
    compute_matrix = matrix.astype(hidden.dtype)
    mean_row = _mean_row(compute_matrix)

    def add_slice(
        carry: tuple[_Sums, Array, Array | None],
        inputs: tuple[Array, Array, Array],
    ) -> tuple[tuple[_Sums, Array, Array | None], Array]:
        sums, matrix_gradient, bias_gradient = carry
        slice_sums, logits_gradient = _slice_loss(
            *inputs, compute_matrix, bias, mean_row, smoothing, by_row
        )
        if bias_gradient is not None:
            bias_gradient += jnp.sum(logits_gradient, axis=(0, 1))
        # Products in the compute dtype, like every other; their sum in float32.
        logits_gradient = logits_gradient.astype(hidden.dtype)
        hidden_gradient = jnp.einsum("rlv,vd->rld", logits_gradient, compute_matrix)
        # Transposed, so that the large factor is read in its memory order.
        matrix_gradient += jnp.einsum(
            "rld,rlv->dv",
            inputs[0],
            logits_gradient,
            preferred_element_type=jnp.float32,
        )
        sums = _add(sums, slice_sums)
        return (sums, matrix_gradient, bias_gradient), hidden_gradient

    zero = _zero_sums(labels.shape[1] if by_row else None)
    zeros = None if bias is None else jnp.zeros(bias.shape, jnp.float32)
    carry = (zero, jnp.zeros(matrix.shape[::-1], jnp.float32), zeros)
    (sums, matrix_gradient, bias_gradient), hidden_gradient = jax.lax.scan(
        add_slice, carry, (hidden, labels, weights)
    )
    matrix_gradient = matrix_gradient.T.astype(matrix.dtype)
    return sums, (hidden_gradient, matrix_gradient, bias_gradient)


def _sliced_loss_backward(
    smoothing: float, by_row: bool, gradients: _Gradients, cotangents: _Sums
) -> tuple[Array, Array, Array | None, None, None]:
    hidden_gradient, matrix_gradient, bias_gradient = gradients
    scale = cotangents.loss.astype(hidden_gradient.dtype)
    if bias_gradient is not None:
        bias_gradient *= cotangents.loss
    matrix_gradient *= cotangents.loss
    return scale * hidden_gradient, matrix_gradient, bias_gradient, None, None


_sliced_loss.defvjp(_sliced_loss_forward, _sliced_loss_backward)


def _zero_sums(num_rows: int | None) -> _Sums:
    rows = None if num_rows is None else jnp.zeros((2, num_rows), jnp.float32)
    return _Sums(jnp.float32(0), jnp.float32(0), rows)


def _add(first: _Sums, second: _Sums) -> _Sums:
    total: _Sums = jax.tree.map(operator.add, first, second)
    return total


def _mean_row(matrix: Float[Array, "vocab d_model"]) -> Float[Array, " d_model"]:
    return jnp.mean(matrix, axis=0, dtype=jnp.float32)


def _slice_loss(
    hidden: Float[Array, "rows length d_model"],
    labels: Int[Array, "rows length"],
    weights: Float[Array, "rows length"],
    matrix: Float[Array, "vocab d_model"],
    bias: Float[Array, " vocab"] | None,
    mean_row: Float[Array, " d_model"],
    smoothing: float,
    by_row: bool,
) -> tuple[_Sums, Float[Array, "rows length vocab"]]:
    """Returns the sums of one slice and the gradient of its loss by its logits.

    The logits are the largest array, so they are read as few times as possible: the
    exponentials are computed once, and the label's logit and the mean logit come from
    `hidden` and `matrix` instead of the logits.
    """
    logits = jnp.einsum(
        "rld,vd->rlv", hidden, matrix, preferred_element_type=jnp.float32
    )
    if bias is not None:
        logits = add_bias(logits, bias)
    vocab = matrix.shape[0]
    largest = jnp.max(logits, axis=-1)
    exponentials = jnp.exp(logits - largest[..., None])
    normaliser = jnp.sum(exponentials, axis=-1)
    log_normaliser = largest + jnp.log(normaliser)
    hidden_32 = hidden.astype(jnp.float32)
    label_logits = jnp.sum(hidden_32 * matrix[labels].astype(jnp.float32), axis=-1)
    mean_logits = hidden_32 @ mean_row
    if bias is not None:
        label_logits += bias[labels]
        mean_logits += jnp.mean(bias)
    nll = log_normaliser - label_logits
    loss = (1.0 - smoothing) * nll + smoothing * (log_normaliser - mean_logits)

    is_label = labels[..., None] == jnp.arange(vocab)[None, None]
    target = jnp.where(is_label, 1.0 - smoothing, 0.0) + smoothing / vocab
    probabilities = exponentials / normaliser[..., None]
    gradient = (probabilities - target) * weights[..., None]
    sums = _Sums(loss=jnp.sum(loss * weights), nll=jnp.sum(nll * weights))
    if by_row:
        rows = jnp.stack([jnp.sum(x * weights, axis=1) for x in (loss, nll)])
        sums = sums._replace(by_row=rows)
    return sums, gradient
