"""Options for Orbax: how it writes checkpoints, and which it keeps."""

import math
from collections.abc import Mapping
from typing import Literal

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers

from transformer_jax.config.experiment import TrainingConfig


def manager_options(training: TrainingConfig | None) -> ocp.CheckpointManagerOptions:
    """Returns the options to write checkpoints with these settings, or only to read."""
    if training is None:
        return ocp.CheckpointManagerOptions(read_only=True, create=False)
    return ocp.CheckpointManagerOptions(
        save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
        preservation_policy=_preservation(training),
        # The preservation policy alone decides which checkpoints stay; but Orbax writes
        # validation results only if this is set.
        best_fn=lambda results: rank(results, training.best_metric),
        max_to_keep=None,
        enable_async_checkpointing=True,
    )


def _preservation(training: TrainingConfig) -> checkpoint_managers.PreservationPolicy:
    return checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(n=training.keep_last),
            checkpoint_managers.BestN(
                get_metric_fn=lambda results: rank(results, training.best_metric),
                n=training.keep_best,
                keep_checkpoints_without_metrics=False,
            ),
        ]
    )


def rank(results: Mapping[str, float], metric: Literal["bleu", "loss"]) -> float:
    """Returns a number that is higher for better results, -inf where there are none."""
    value = results.get(metric, math.nan)
    if math.isnan(value):
        return -math.inf
    return value if metric == "bleu" else -value


def item_handlers() -> dict[str, ocp.CheckpointHandler]:
    """Returns the handler of each item of a checkpoint."""
    return {
        "params": _arrays_handler(),
        "training": _arrays_handler(),
        "config": ocp.JsonCheckpointHandler(),
        "tokenizer": ocp.JsonCheckpointHandler(),
    }


def _arrays_handler() -> ocp.PyTreeCheckpointHandler:
    """Returns a handler that lets one device write each part of an array.

    By default all devices with the same part write a piece of it each, and Orbax
    compiles a program for every piece while training waits.
    """
    arrays = ocp.type_handlers.ArrayHandler(use_replica_parallel=False)
    return ocp.PyTreeCheckpointHandler(
        type_handler_registry=ocp.type_handlers.create_type_handler_registry(
            (jax.Array, arrays)
        )
    )


def restore_args(abstract: PyTree) -> ocp.args.PyTreeRestore:
    """Returns Orbax's arguments to read arrays of these shapes and shardings."""
    return ocp.args.PyTreeRestore(
        abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
    )
