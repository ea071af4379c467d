"""How Orbax is asked to write checkpoints, and which of them it keeps."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from transformer_jax.config.experiment import TrainingConfig


def manager_options(training: TrainingConfig | None) -> ocp.CheckpointManagerOptions:
    """Returns the options to write checkpoints with these settings, or only to read."""
    if training is None:
        return ocp.CheckpointManagerOptions(read_only=True, create=False)
    return ocp.CheckpointManagerOptions(
        save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
        preservation_policy=_preservation(training),
        # Which checkpoints stay is for the policy alone to say; but without this the
        # validation results are not written.
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
    """Returns who writes and reads each item of a checkpoint."""
    return {
        "params": _arrays_handler(),
        "training": _arrays_handler(),
        "config": ocp.JsonCheckpointHandler(),
        "tokenizer": ocp.JsonCheckpointHandler(),
    }


def _arrays_handler() -> ocp.PyTreeCheckpointHandler:
    """Returns a handler by which each part of an array is written by one device.

    Orbax would have all devices with the same part write a piece of it each, and
    compile a program for every piece while training waits.
    """
    arrays = ocp.type_handlers.ArrayHandler(use_replica_parallel=False)
    return ocp.PyTreeCheckpointHandler(
        type_handler_registry=ocp.type_handlers.create_type_handler_registry(
            (jax.Array, arrays)
        )
    )


def restore_args(abstract: Any) -> ocp.args.PyTreeRestore:
    """Returns the request for arrays of these shapes, laid out like them."""
    return ocp.args.PyTreeRestore(
        abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
    )
