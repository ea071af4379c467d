"""The loss of a batch, for training and evaluation."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.loss.cross_entropy import LossSums, label_smoothed_cross_entropy
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer


def batch_loss(
    config: ExperimentConfig,
    params: Params,
    batch: Batch,
    dropout_rng: Array | None,
    *,
    slice_tokens: int,
) -> LossSums:
    """Returns the sums of the loss over a batch.

    Args:
        dropout_rng: None = no dropout.
        slice_tokens: target positions whose logits exist at a time, about; on all
            devices together.
    """
    model = Transformer(config.model)

    def run(model: Transformer) -> tuple[Array, Array]:
        hidden = model(
            batch.source,
            batch.target_inputs,
            source_positions=batch.source_positions,
            source_segments=batch.source_segments,
            target_positions=batch.target_positions,
            target_segments=batch.target_segments,
            deterministic=dropout_rng is None,
        )
        return hidden, model.output_matrix()

    rngs = None if dropout_rng is None else {"dropout": dropout_rng}
    # Flax types the result of `apply` as variables too.
    outputs: Any = model.apply({"params": params}, rngs=rngs, method=run)
    hidden, matrix = outputs
    return label_smoothed_cross_entropy(
        hidden,
        matrix,
        batch.target_labels,
        (batch.target_segments != 0).astype(jnp.float32),
        label_smoothing=config.training.label_smoothing,
        slice_tokens=slice_tokens,
    )
