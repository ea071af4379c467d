"""The loss of a batch, and the compiled step that evaluates it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import for_platform
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.loss import sums as metrics
from transformer_jax.loss.cross_entropy import LossSums, label_smoothed_cross_entropy
from transformer_jax.model.transformer import Transformer

EvaluationStep = Callable[[Any, Batch], dict[str, Array]]


def batch_loss(
    config: ExperimentConfig,
    params: Any,
    batch: Batch,
    dropout_rng: Array | None,
    *,
    row_groups: int = 1,
) -> LossSums:
    """Returns the sums of the loss over a batch; without a key, without dropout.

    Args:
        row_groups: parts into which the rows are cut over devices.
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
    outputs: Any = model.apply({"params": params}, rngs=rngs, method=run)
    hidden, matrix = outputs
    return label_smoothed_cross_entropy(
        hidden,
        matrix,
        batch.target_labels,
        (batch.target_segments != 0).astype(jnp.float32),
        label_smoothing=config.training.label_smoothing,
        slice_tokens=(config.training.loss_slice_tokens or 2_048) * row_groups,
    )


def make_evaluation_step(config: ExperimentConfig, mesh: Mesh) -> EvaluationStep:
    """Returns `(params, batch) -> sums`, compiled once for each shape of batch."""
    config = for_platform(config, mesh)
    row_groups = num_row_groups(mesh)

    def evaluation_step(params: Any, batch: Batch) -> dict[str, Array]:
        with sharding.laid_out(mesh):
            sums = batch_loss(config, params, batch, None, row_groups=row_groups)
        counts = metrics.batch_counts(batch.source_segments, batch.target_segments)
        return {**counts, **sums._asdict()}

    return jax.jit(evaluation_step, out_shardings=sharding.replicated(mesh))
