"""Checkpoints on disk, through Orbax.

A checkpoint `checkpoints/<step>/` has the items `params`, `training` (the rest of the
state), `config` and `tokenizer`. To translate, all but `training` is enough. An average
has an item `average` in place of `training`, the list of its steps; it lies in
`average/<last step>/`, or in a directory that the user named.
"""

import contextlib
import math
import os
from collections.abc import Mapping
from typing import Any, Literal

import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint.utils import is_checkpoint_finalized as is_finalized

from transformer_jax.checkpoints.contents import averaged_steps as averaged_steps
from transformer_jax.checkpoints.contents import descriptions, is_checkpoint
from transformer_jax.checkpoints.contents import load_checkpoint as load_checkpoint
from transformer_jax.checkpoints.contents import load_params as load_params
from transformer_jax.checkpoints.contents import time_written as time_written
from transformer_jax.checkpoints.options import (
    item_handlers,
    manager_options,
    rank,
    restore_args,
)
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.config.reading import config_from_dict
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer

CHECKPOINTS, AVERAGE = "checkpoints", "average"

Which = Literal["latest", "best", "average"] | int


class Checkpoints:
    """The checkpoints of one work directory: the last N, and the best by a metric.

    Writing happens in the background; `close` waits for it. Every process of a
    multi-host run must make the same calls.
    """

    def __init__(
        self, workdir: str | os.PathLike[str], training: TrainingConfig | None = None
    ) -> None:
        """Opens them: for reading, or with settings of the training for writing too."""
        self._directory = work_directory(workdir) / CHECKPOINTS
        options = manager_options(training)
        if training is None and not self._directory.is_dir():
            raise InputError(
                f"{workdir} has no checkpoints: train into it first, with "
                f"`transformer-jax train CONFIG.toml --workdir {workdir}` (train in "
                "Python)."
            )
        self._training = training
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=options,
            item_handlers=item_handlers(),
        )

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def best_step(self, metric: Literal["bleu", "loss"]) -> int | None:
        """Returns the step with the best validation metric, None where none has one."""
        ranked = [
            (rank(self._manager.metrics(step) or {}, metric), step)
            for step in self.steps
        ]
        best, step = max(ranked, default=(-math.inf, 0))
        return step if best > -math.inf else None

    def save(
        self,
        step: int,
        params: Params,
        training: PyTree,
        config: ExperimentConfig,
        tokenizer: Tokenizer,
        validation: Mapping[str, float] | None = None,
    ) -> None:
        """Begins to write a checkpoint; a step that has one is left as it is."""
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.PyTreeSave(params),
                training=ocp.args.PyTreeSave(training),
                **descriptions(config, tokenizer),
            ),
            metrics=dict(validation or {}),
        )

    def restore(
        self, step: int, abstract_params: PyTree, abstract_training: PyTree
    ) -> tuple[Params, Any]:
        """Returns `(params, training)` with the shardings of the abstract trees."""
        items = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=restore_args(abstract_params),
                training=restore_args(abstract_training),
            ),
        )
        return items["params"], items["training"]

    def config(self, step: int) -> ExperimentConfig:
        """Returns the settings the checkpoint was written with."""
        args = ocp.args.Composite(config=ocp.args.JsonRestore())
        return config_from_dict(self._manager.restore(step, args=args)["config"])

    def wait(self) -> None:
        """Returns when everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is on disk, then closes the directory."""
        self._manager.close()


def checkpoint_dir(
    workdir: str | os.PathLike[str], which: Which = "latest"
) -> StoredPath:
    """Returns the directory of a checkpoint chosen by step, age, metric or kind.

    Args:
        workdir: a work directory; or one checkpoint's directory, which is the latest.

    Raises:
        InputError: there is no such checkpoint; the message lists those there are.
    """
    folder = work_directory(workdir)
    if is_checkpoint(folder):
        if which != "latest":
            raise InputError(
                f"{workdir} is a single checkpoint: leave out the choice of {which}."
            )
        return folder
    if which == "average":
        found = averages(folder)
        if not found:
            raise InputError(
                f"{workdir} has no averaged checkpoint: make one with "
                f"`transformer-jax average {workdir}` (average_checkpoints in Python)."
            )
        return found[-1]
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        step = _choose_step(checkpoints, which, folder)
    return folder / CHECKPOINTS / str(step)


def _choose_step(checkpoints: Checkpoints, which: Which, workdir: StoredPath) -> int:
    steps = checkpoints.steps
    if not steps:
        raise InputError(f"{workdir} has no complete checkpoint yet.")
    if which == "latest":
        return steps[-1]
    if which == "best":
        metric = checkpoints.config(steps[-1]).training.best_metric
        best = checkpoints.best_step(metric)
        if best is None:
            raise InputError(
                f"{workdir} has no checkpoint with validation results: choose another "
                f"of latest, average, {', '.join(map(str, steps))}."
            )
        return best
    if not isinstance(which, int) or which not in steps:
        raise InputError(
            f"{workdir} has no checkpoint {which!r}: choose one of latest, best, "
            f"average, {', '.join(map(str, steps))}."
        )
    return int(which)


def averages(workdir: StoredPath) -> list[StoredPath]:
    """Returns the directories of the averages in a work directory, the newest last."""
    found = [path for path in (workdir / AVERAGE).glob("*") if path.name.isdigit()]
    whole = [path for path in found if is_finalized(path) and averaged_steps(path)]
    return sorted(whole, key=time_written)
