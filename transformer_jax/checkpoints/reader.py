"""The checkpoints of a work directory as they lie there: what each says of itself.

Nothing here asks other processes, so that one of several may look alone.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from orbax.checkpoint.utils import is_checkpoint_finalized as is_finalized

from transformer_jax.checkpoints.checksums import verify_checkpoint
from transformer_jax.checkpoints.contents import (
    AVERAGE,
    averaged_steps,
    check_times,
    load_config_of,
    load_description,
    read_json,
)
from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.checkpoints.options import rank_steps
from transformer_jax.checkpoints.setting_aside import set_aside
from transformer_jax.checkpoints.validation_file import YARDSTICK, read_validation
from transformer_jax.config.experiment import BestMetric, ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer

CHECKPOINTS = "checkpoints"


def has_checkpoints(workdir: StoredPath) -> bool:
    """Returns whether a work directory has a place for them, which may be empty."""
    return bool((workdir / CHECKPOINTS).is_dir())


class StoredCheckpoints:
    """The checkpoints of one work directory, to read what they say of themselves."""

    def __init__(
        self, workdir: str | os.PathLike[str], *, may_be_new: bool = False
    ) -> None:
        """Looks at the directory.

        Args:
            may_be_new: whether it is made where there is none. In an object store
                it is there only once it has a file.

        Raises:
            InputError: it has none.
        """
        self._workdir = work_directory(workdir)
        self._directory = self._workdir / CHECKPOINTS
        if may_be_new:
            self._directory.mkdir(parents=True, exist_ok=True)
        elif not has_checkpoints(self._workdir):
            absent = (
                ""
                if self._workdir.exists()
                else ("; or correct its name, as there is no such directory")
            )
            raise InputError(
                f"{workdir} has no checkpoints: train into it first, with "
                f"`transformer-jax train CONFIG.toml --workdir {workdir}` (train in "
                f"Python){absent}."
            )
        self._validations: dict[int, dict[str, Any]] = {
            step: read_validation(self.directory(step)) for step in self._find_steps()
        }

    def _find_steps(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        names = [path.name for path in self._directory.iterdir()]
        steps = [int(name) for name in names if name.isdecimal()]
        return sorted(step for step in steps if self.is_written(step))

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._validations)

    def directory(self, step: int) -> StoredPath:
        """Returns the directory of a step's checkpoint."""
        return self._directory / str(step)

    def is_written(self, step: int) -> bool:
        """Returns whether a step's checkpoint is complete on disk."""
        directory = self.directory(step)
        return bool(directory.is_dir() and is_finalized(directory))

    def is_without_run(self, step: int) -> bool:
        """Returns whether it holds parameters alone, as `save_parameters` writes."""
        directory = self.directory(step)
        return not any((directory / item).is_dir() for item in ("training", "run"))

    def best_step(self, metric: BestMetric | None) -> int | None:
        """Returns the step with the best validation metric, None where none has one.

        Only checkpoints measured by the yardstick of the newest are compared.
        """
        ranked = rank_steps(self._validations, self.steps, metric)
        return ranked[0] if ranked else None

    def validation(self, step: int) -> Mapping[str, Any]:
        """Returns the validation results of a step, empty where there are none."""
        return self._validations.get(step, {})

    @property
    def yardstick(self) -> str | None:
        """By what the newest validation results were measured."""
        known = [step for step in self.steps if self.validation(step)]
        return self.validation(known[-1]).get(YARDSTICK) if known else None

    def config(self, step: int) -> ExperimentConfig:
        """Returns the settings the checkpoint was written with."""
        return load_config_of(self.directory(step))

    def tokenizer(self, step: int) -> Tokenizer:
        """Returns the tokenizer the checkpoint was written with."""
        return load_description(self.directory(step))[1]

    def run_record(self, step: int) -> dict[str, Any]:
        """Returns what the checkpoint says of the run, {} if it says nothing."""
        directory = self.directory(step)
        if not (directory / "run").is_dir():
            return {}
        record: dict[str, Any] = read_json(directory, "run")["run"]
        return record

    def verify(self, step: int) -> None:
        """Reads every file of a step's checkpoint.

        Raises:
            DamagedCheckpoint: one is not as it was written.
        """
        directory = self.directory(step)
        check_times(directory)
        of_run = () if self.is_without_run(step) else ("training",)
        for item in ("params", *of_run, "config", "tokenizer"):
            if not (directory / item).is_dir():
                raise DamagedCheckpoint(f"{directory / item} is missing.")
        verify_checkpoint(directory)
        load_description(directory)
        self.run_record(step)

    def set_aside_after(self, step: int, steps: Iterable[int]) -> list[StoredPath]:
        """Moves checkpoints out of the way, and averages of any later than a step.

        In one process; the others see it when they look at the directory anew.

        Args:
            step: the one that the run continues from.
            steps: those of the checkpoints.

        Returns:
            Where they are.
        """
        moved, folder = [], self._workdir / AVERAGE
        # Averages first: interrupted here, the next start finds the checkpoints.
        for average in sorted(folder.iterdir()) if folder.is_dir() else []:
            with contextlib.suppress(DamagedCheckpoint):  # Whoever uses it is told.
                if any(each > step for each in averaged_steps(average)):
                    name = f"{AVERAGE}-{average.name}"
                    moved.append(set_aside(self._workdir, average, name))
        for each in steps:
            moved.append(set_aside(self._workdir, self.directory(each)))
        return moved
