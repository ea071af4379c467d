"""Which checkpoint of a work directory: by step, age, metric or kind."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Literal

from orbax.checkpoint.utils import is_checkpoint_finalized as is_finalized

from transformer_jax.checkpoints.contents import (
    AVERAGE,
    averaged_steps,
    is_checkpoint,
    load_model,
    time_written,
)
from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.checkpoints.reader import (
    CHECKPOINTS,
    StoredCheckpoints,
    has_checkpoints,
)
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer

Which = Literal["latest", "best", "average"] | int

logger = logging.getLogger(__name__)


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
        return _choose_average(folder)
    run = folder.parent.parent
    if folder.name.isdecimal() and not folder.exists() and has_checkpoints(run):
        folder, which = run, int(folder.name)  # The message says which steps there are.
    checkpoints = StoredCheckpoints(folder)
    return checkpoints.directory(_choose_step(checkpoints, which, folder))


def load_chosen(
    workdir: str | os.PathLike[str], which: Which = "latest"
) -> tuple[Params, ExperimentConfig, Tokenizer]:
    """Returns parameters, settings and tokenizer of a checkpoint, see `checkpoint_dir`.

    Raises:
        InputError: as `checkpoint_dir`, or the checkpoint is damaged; the message names
            another one.
    """
    directory = checkpoint_dir(workdir, which)
    with naming_another(directory):
        return load_model(directory)


@contextlib.contextmanager
def naming_another(directory: StoredPath) -> Iterator[None]:
    """Adds to the error of a damaged checkpoint which other one is whole."""
    try:
        yield
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(f"{error} {_another_than(directory)}") from error


def _another_than(directory: StoredPath) -> str:
    """Returns advice for one whose checkpoint is damaged."""
    siblings = []
    if directory.parent.name == CHECKPOINTS:
        stored = StoredCheckpoints(directory.parent.parent)
        siblings = [step for step in stored.steps if str(step) != directory.name]
    while siblings:
        step = siblings.pop()
        try:
            stored.verify(step)
        except InputError:
            continue
        return f"Take another: --checkpoint {step} (checkpoint={step}) is whole."
    return "Restore it, or take another."


def _choose_step(
    checkpoints: StoredCheckpoints, which: Which, workdir: StoredPath
) -> int:
    steps = checkpoints.steps
    if not steps:
        raise InputError(
            f"{workdir} has no complete checkpoint yet: train into it first, or wait "
            "until its run has written one."
        )
    if which == "latest":
        return steps[-1]
    if isinstance(which, int) and which in steps:
        return which
    best, lacks = None, f"checkpoint {which!r}"
    if which == "best":
        best, lacks = _best_step(checkpoints), "checkpoint with validation results"
        if best is not None:
            return best
    else:
        with contextlib.suppress(InputError):  # It is only named.
            best = _best_step(checkpoints)
    named = {"latest": True, "best": best is not None, "average": averages(workdir)}
    there = [*(name for name, is_there in named.items() if is_there), *map(str, steps)]
    raise InputError(f"{workdir} has no {lacks}: choose one of {', '.join(there)}.")


def _best_step(checkpoints: StoredCheckpoints) -> int | None:
    settings = checkpoints.config(checkpoints.steps[-1]).training
    return checkpoints.best_step(settings.best_metric)


def _choose_average(workdir: StoredPath) -> StoredPath:
    """Returns the newest average; warns if the run has gone on since it was made."""
    found = averages(workdir)
    if not found:
        raise InputError(
            f"{workdir} has no averaged checkpoint: make one with "
            f"`transformer-jax average {workdir}` (average_checkpoints in Python)."
        )
    last = averaged_steps(found[-1])[-1]
    newer = [step for step in steps_in(workdir) if step > last]
    if newer:
        logger.warning(
            "%s is the average of steps up to %d, and the run has come to step %d since"
            ": `transformer-jax average %s` makes a new one",
            found[-1],
            last,
            newer[-1],
            workdir,
        )
    return found[-1]


def steps_in(workdir: StoredPath) -> list[int]:
    """Returns the steps that have a complete checkpoint, ascending."""
    return StoredCheckpoints(workdir).steps if has_checkpoints(workdir) else []


def averages(workdir: StoredPath) -> list[StoredPath]:
    """Returns the directories of the averages in a work directory, the newest last."""
    if not (workdir / AVERAGE).is_dir():
        return []
    found = [path for path in (workdir / AVERAGE).iterdir() if path.name.isdecimal()]
    whole = [path for path in found if is_finalized(path) and averaged_steps(path)]
    return sorted(whole, key=time_written)
