"""Options for Orbax: how it writes checkpoints, and which it keeps."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers

from transformer_jax.checkpoints.checksums import with_checksums
from transformer_jax.checkpoints.validation_file import YARDSTICK
from transformer_jax.config.experiment import BestMetric, TrainingConfig


class LastAndBest(checkpoint_managers.PreservationPolicy):
    """Keeps the last checkpoints, and the best of those that can be compared."""

    def __init__(
        self, training: TrainingConfig, validations: Mapping[int, Mapping[str, Any]]
    ) -> None:
        """`validations` has the results by step; it is looked at when asked."""
        self._training = training
        self._validations = validations

    def should_preserve(
        self, checkpoints: Sequence[Any], *, context: Any
    ) -> Sequence[bool]:
        """Orbax's question, when it begins to write a new one."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        removed = self.steps_to_remove(steps)
        return [step not in removed for step in steps]

    def steps_to_remove(self, steps: Iterable[int]) -> set[int]:
        """Returns the steps whose checkpoints need not be kept."""
        training, ascending = self._training, sorted(steps)
        ranked = rank_steps(self._validations, ascending, training.best_metric)
        best = ranked[: training.keep_best]
        last = self._planned_steps(ascending)[-training.keep_last :]
        return set(ascending[:-1]) - set(last) - set(best)

    def _planned_steps(self, steps: Sequence[int]) -> Sequence[int]:
        """Returns the steps that a run without interruptions would have saved.

        One more, saved where it was interrupted, is needed only until there is a newer:
        it takes the place of none that an average may be made of.
        """
        training = self._training
        every = training.checkpoint_every_steps
        if every is None or training.checkpoint_every_minutes is not None:
            return steps
        return [
            step
            for step in steps
            if step % every == 0
            or step % training.evaluate_every_steps == 0
            or step == training.num_steps
        ]


def rank_steps(
    validations: Mapping[int, Mapping[str, Any]],
    steps: Collection[int],
    metric: BestMetric | None,
) -> list[int]:
    """Returns the steps with a value of the metric, best first.

    Those whose text or way of translating was another than that of the newest are left
    out: their numbers cannot be compared. Of equal ones the newer is better.

    Args:
        metric: None = that of the newest result, see `metric_of`.
    """
    known = [step for step in sorted(steps) if validations.get(step)]
    if not known:
        return []
    newest = validations[known[-1]]
    chosen = metric_of(newest, metric)
    yardstick = newest.get(YARDSTICK)
    ranked = [
        (rank(validations[step], chosen), step)
        for step in known
        if validations[step].get(YARDSTICK) == yardstick
    ]
    return [step for value, step in sorted(ranked)[::-1] if value > -math.inf]


def metric_of(results: Mapping[str, Any], metric: BestMetric | None) -> BestMetric:
    """Returns the metric that compares results: the chosen one, or their own for None.

    Their own is F1, or BLEU, or else the loss.
    """
    if metric is not None:
        return metric
    if "f1" in results:
        return "f1"
    return "bleu" if "bleu" in results else "loss"


def manager_options(
    training: TrainingConfig | None, validations: Mapping[int, Mapping[str, Any]]
) -> ocp.CheckpointManagerOptions:
    """Returns the options to write checkpoints with these settings, or only to read."""
    if training is None:
        return ocp.CheckpointManagerOptions(read_only=True, create=False)
    return ocp.CheckpointManagerOptions(
        save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
        preservation_policy=LastAndBest(training, validations),
        max_to_keep=None,
        enable_async_checkpointing=True,
    )


def rank(results: Mapping[str, float | None], metric: BestMetric) -> float:
    """Returns a number that is higher for better results, -inf where there are none."""
    value = results.get(metric)
    if value is None or not math.isfinite(value):
        return -math.inf
    return -value if metric == "loss" else value


def item_handlers() -> dict[str, ocp.CheckpointHandler]:
    """Returns the handler of each item of a checkpoint."""
    return {
        "params": with_checksums(_arrays_handler()),
        "training": with_checksums(_arrays_handler()),
        "run": with_checksums(ocp.JsonCheckpointHandler()),
        **_description_handlers(),
    }


def parameters_handlers() -> dict[str, ocp.CheckpointHandler]:
    """Returns the handler of each item of parameters alone, and of an average."""
    return {
        "params": with_checksums(ocp.StandardCheckpointHandler()),
        "average": with_checksums(ocp.JsonCheckpointHandler()),
        **_description_handlers(),
    }


def _description_handlers() -> dict[str, ocp.CheckpointHandler]:
    return {
        "config": with_checksums(ocp.JsonCheckpointHandler()),
        "tokenizer": with_checksums(ocp.JsonCheckpointHandler()),
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
