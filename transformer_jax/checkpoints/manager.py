"""Checkpoints on disk, through Orbax.

A checkpoint `checkpoints/<step>/` has the items `params`, `training` (the rest of the
state), `run` (what exact continuation needs beside it), `config` and `tokenizer`. To
translate, all but `training` and `run` are enough. Validation results are added to it
later. An average has an item `average`, the list of its steps, in place of `training`
and `run`; it lies in `average/<last step>/`, or in a directory that the user named.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from transformer_jax.checkpoints.contents import descriptions
from transformer_jax.checkpoints.errors import (
    DamagedCheckpoint,
    SaveError,
    first_line,
)
from transformer_jax.checkpoints.options import (
    LastAndBest,
    item_handlers,
    manager_options,
    restore_args,
)
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.checkpoints.validation_file import YARDSTICK, write_validation
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.devices.lost_processes import is_of_exchange
from transformer_jax.errors import InputError, ProcessLost
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.tokenizer import Tokenizer


class Checkpoints(StoredCheckpoints):
    """The checkpoints of one work directory: the last N, and the best by a metric.

    Writing happens in the background; `close`, and the end of a `with` block, wait for
    it. Every process of a multi-host run must make the same calls.
    """

    def __init__(
        self, workdir: str | os.PathLike[str], training: TrainingConfig | None = None
    ) -> None:
        """Opens them: for reading, or with settings of the training for writing too."""
        super().__init__(workdir, may_be_new=training is not None)
        self._training = training
        self._saving: int | None = None
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=manager_options(training, self._validations),
            item_handlers=item_handlers(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # What a lost process has not written will never be complete.
        if not isinstance(error, ProcessLost):
            self.close()

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(
        self,
        step: int,
        params: Params,
        training: PyTree,
        config: ExperimentConfig,
        tokenizer: Tokenizer,
        *,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        """Begins to write a checkpoint; a step that has one is left as it is.

        Raises:
            SaveError: it cannot be written, or the one before it could not.
        """
        if step in self._manager.all_steps():
            return
        self.wait()
        self._saving = step
        with self._naming_failure():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.PyTreeSave(params),
                    training=ocp.args.PyTreeSave(training),
                    run=ocp.args.JsonSave(dict(run or {})),
                    **descriptions(config, tokenizer),
                ),
            )

    def set_validation(
        self, step: int, values: Mapping[str, Any], yardstick: str | None = None
    ) -> None:
        """Adds validation results to a step's checkpoint, once that is written.

        Checkpoints that are neither among the last nor the best any more are removed.

        Raises:
            SaveError: as `save`.
        """
        self.wait()
        if step not in self._manager.all_steps():
            return  # It could not be written, and the run goes on without it.
        self._validations[step] = {**values, YARDSTICK: yardstick}
        if jax.process_index() == 0:
            with self._naming_failure(step):
                write_validation(self.directory(step), self._validations[step])
        if self._training is not None:
            policy = LastAndBest(self._training, self._validations)
            for old in sorted(policy.steps_to_remove(self.steps)):
                self._manager.delete(old)

    def restore(
        self, step: int, abstract_params: PyTree, abstract_training: PyTree
    ) -> tuple[Params, Any]:
        """Returns `(params, training)` with the shardings of the abstract trees.

        Raises:
            DamagedCheckpoint: Orbax cannot read it.
        """
        try:
            items = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    params=restore_args(abstract_params),
                    training=restore_args(abstract_training),
                ),
            )
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise DamagedCheckpoint(
                f"{self.directory(step)} cannot be restored ({first_line(error)})."
            ) from error
        return items["params"], items["training"]

    def reload(self) -> None:
        """Looks at the directory anew."""
        self._manager.reload()
        for step in set(self._validations) - set(self.steps):
            del self._validations[step]

    def wait(self) -> None:
        """Returns when everything is on disk.

        Raises:
            SaveError: as `save`.
        """
        with self._naming_failure():
            self._manager.wait_until_finished()
        self._saving = None

    @contextlib.contextmanager
    def _naming_failure(self, step: int | None = None) -> Iterator[None]:
        """Turns an error of writing into a SaveError, and removes what it has left."""
        step = self._saving if step is None else step
        try:
            yield
        except Exception as error:
            if step is None or isinstance(error, InputError) or is_of_exchange(error):
                raise
            self._saving = None
            self._remove_partials(step)
            self._manager.reload()
            left = self.steps
            kept = f"that of step {left[-1]} is the last" if left else "there is none"
            raise SaveError(
                f"the checkpoint of step {step} cannot be written into "
                f"{self._directory} ({first_line(error)}); {kept}."
            ) from error

    def _remove_partials(self, step: int) -> None:
        """Removes what a save that failed has left: it may fill the disk."""
        for wait in (0.0, 0.2, 1.0):
            time.sleep(wait)  # Other threads may be writing still.
            for path in self._directory.iterdir():
                if path.name.startswith(f"{step}.") and "tmp" in path.name:
                    with contextlib.suppress(OSError):
                        path.rmtree()

    def close(self) -> None:
        """Waits until everything is on disk, then closes the directory.

        Raises:
            SaveError: as `save`.
        """
        try:
            self.wait()
        finally:
            self._manager.close()
