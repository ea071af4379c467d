"""The compiled step of evaluation: the sums of the loss of a batch."""

from collections.abc import Callable
from typing import TypeAlias

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.program_settings import program_settings
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import decide_model
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.loss.batch_loss import LossFunction, make_loss
from transformer_jax.loss.sums import count_tokens
from transformer_jax.model.params import Params

EvaluationStep: TypeAlias = Callable[[Params, Batch], dict[str, Array]]


def make_evaluation_step(
    config: ExperimentConfig, mesh: Mesh, *, loss: LossFunction | None = None
) -> EvaluationStep:
    """Returns the function `(params, batch) -> sums`, compiled for each batch shape.

    The batch is global (`make_global`). The sums are float32 scalars over its real
    target tokens: `loss` (label-smoothed) and `nll`, in nats. The numbers of real
    tokens are `source_tokens` and `target_tokens`; `source_slots` and `target_slots`
    count padding too. Add the sums of all batches; `mean_metrics` divides them.

    Args:
        loss: None = `batch_loss`, the paper's.

    Example:
        >>> import numpy as np
        >>> import transformer_jax as tj
        >>> config = tj.ExperimentConfig(model=tj.ModelConfig.tiny(vocab_size=20))
        >>> mesh = tj.make_mesh(config.mesh)
        >>> batch = tj.Batch(*7 * [np.ones((8, 4), np.int32)])
        >>> evaluation_step = tj.make_evaluation_step(config, mesh)
        >>> params = tj.init_state(config, mesh).params
        >>> sums = evaluation_step(params, tj.make_global(batch, mesh))
        >>> float(sums["target_tokens"]), bool(sums["nll"] > 0)
        (32.0, True)
    """
    loss_of = loss or make_loss(config, mesh)
    config = config.replace(model=decide_model(config.model, mesh))

    def evaluation_step(params: Params, batch: Batch) -> dict[str, Array]:
        with sharding.activation_layout(mesh):
            sums = loss_of(config, params, batch, None)
        counts = count_tokens(batch.source_segments, batch.target_segments)
        return {**counts, "loss": sums.loss, "nll": sums.nll}

    whole = sharding.replicated_sharding(mesh)
    step: EvaluationStep = jax.jit(evaluation_step, out_shardings=whole)
    if loss is not None:  # What it computes has no name.
        return step
    return keep_whole(step, "evaluation_step", program_settings(config), mesh)
