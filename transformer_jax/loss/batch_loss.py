"""The loss of a batch, for training and evaluation."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices.defaults import loss_slice_tokens
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.loss.corpus_sums import rows_by_corpus
from transformer_jax.loss.cross_entropy import (
    SLICE_TOKENS,
    CorpusLossSums,
    LossSums,
    cross_entropy_by_corpus,
    label_smoothed_cross_entropy,
)
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer

LossFunction: TypeAlias = Callable[
    [ExperimentConfig, Params, Batch, Array | None], LossSums | CorpusLossSums
]
"""`(config, params, batch, dropout_rng) -> sums`; `dropout_rng` None = no dropout."""


def make_loss(config: ExperimentConfig, mesh: Mesh) -> LossFunction:
    """Returns `batch_loss` with the size of its slices decided for the devices."""
    slice_tokens = loss_slice_tokens(config.training, mesh) * num_row_groups(mesh)
    return functools.partial(batch_loss, slice_tokens=slice_tokens)


def batch_loss(
    config: ExperimentConfig,
    params: Params,
    batch: Batch,
    dropout_rng: Array | None,
    *,
    slice_tokens: int = SLICE_TOKENS,
) -> LossSums | CorpusLossSums:
    """Returns the sums of the paper's loss over a batch, and of each of its corpora.

    A loss of your own for `make_train_step` has the same first four arguments.

    Args:
        params: the parameters to differentiate by.
        dropout_rng: None = no dropout.
        slice_tokens: target positions whose logits exist at a time, about; on all
            devices together.

    Example:
        >>> import jax.numpy as jnp
        >>> config = tj.ExperimentConfig(model=tj.ModelConfig.tiny(vocab_size=20))
        >>> params = tj.init_state(config, tj.make_mesh(config.mesh)).params
        >>> batch = tj.Batch(*7 * [jnp.ones((8, 4), jnp.int32)])
        >>> sums = tj.batch_loss(config, params, batch, None)
        >>> bool(sums.loss > 0)
        True

    Paper: section 5.4.
    """
    model = Transformer(config.model)

    def run(model: Transformer) -> tuple[Array, Array, Array | None]:
        hidden = model(
            batch.source,
            batch.target_inputs,
            source_positions=batch.source_positions,
            source_segments=batch.source_segments,
            target_positions=batch.target_positions,
            target_segments=batch.target_segments,
            deterministic=dropout_rng is None,
        )
        return hidden, model.output_matrix(), model.output_bias()

    rngs = None if dropout_rng is None else {"dropout": dropout_rng}
    # Flax types the result of `apply` as variables too.
    outputs: Any = model.apply({"params": params}, rngs=rngs, method=run)
    hidden, matrix, bias = outputs
    weights = (batch.target_segments != 0).astype(jnp.float32)
    decoded = hidden, matrix, batch.target_labels, weights
    how: Any = {
        "bias": bias,
        "label_smoothing": config.training.label_smoothing,
        "slice_tokens": slice_tokens,
    }
    corpora = rows_by_corpus(config, batch)
    if corpora is not None:
        return cross_entropy_by_corpus(*decoded, corpora, **how)
    return label_smoothed_cross_entropy(*decoded, **how)
