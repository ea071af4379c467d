"""The mean of several checkpoints of a run. Paper: section 6.1."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from transformer_jax.checkpoints.contents import (
    AVERAGE,
    averaged_steps,
    is_checkpoint,
    load_description,
    load_params_to_host,
    stored_params,
    time_written,
)
from transformer_jax.checkpoints.errors import DamagedCheckpoint, IncompleteCheckpoint
from transformer_jax.checkpoints.origin import origin_of
from transformer_jax.checkpoints.reader import CHECKPOINTS, StoredCheckpoints
from transformer_jax.checkpoints.saving_parameters import write_parameters
from transformer_jax.config.checks import require_type
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.model.size import shapes_of
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.work_directory import PathLike, StoredPath, work_directory

# The paper averages 5 checkpoints of the base model.
_LAST = 5

# Two checkpoints may be this part of the asked time too close: while a clock is set
# right it runs slower or faster, by half of this at most.
_SLACK = 0.001

logger = logging.getLogger(__name__)


def average_checkpoints(
    workdir: PathLike,
    last: int | None = None,
    *,
    minutes: float | None = None,
    steps: Sequence[int] = (),
    output: PathLike | None = None,
) -> StoredPath:
    """Averages the parameters of checkpoints; returns the average's directory.

    The average is written as one more checkpoint, which holds the list of its steps,
    and replaces an average of the same name. Sums are in float64, with one checkpoint
    in memory at a time.

    Args:
        last: how many, counted back from the newest; None = 5.
        minutes: least time between two checkpoints that are taken, counted back from
            the newest; None = any.
        steps: average these in place of the last ones.
        output: directory for the average; None = `average/<last step>` in the work
            directory, where the checkpoint "average" is the newest of them.

    Raises:
        InputError: there are too few checkpoints, or they are of different models.

    Example:
        >>> directory = tj.average_checkpoints(workdir, last=2)
        >>> translator = tj.Translator.from_checkpoint(workdir, "average")

    Paper: section 6.1: the last 5 for base, 20 for big, written 10 minutes apart.
    """
    for name, value, kind in (
        ("last", last, int | None),
        ("minutes", minutes, float | None),
        *(("steps", step, int) for step in steps),
    ):
        require_type(name, value, kind)
    folder = work_directory(workdir)
    checkpoints = StoredCheckpoints(folder)
    existing = checkpoints.steps
    paths = {step: checkpoints.directory(step) for step in existing}
    if steps:
        chosen = _choose_named(steps, existing, folder, last, minutes)
    else:
        chosen = _choose_last(_LAST if last is None else last, paths, folder, minutes)
    if output is None:
        destination = folder / AVERAGE / str(chosen[-1])
    else:
        destination = _check_free(work_directory(output), folder)
    directories = [paths[step] for step in chosen]
    _check_alike(directories)
    config, tokenizer = load_description(directories[-1])
    params = _mean(directories)
    origin = origin_of(directories[-1])
    write_parameters(
        destination, config, params, tokenizer, averaged_steps=chosen, origin=origin
    )
    logger.info("averaged the checkpoints of steps %s", ", ".join(map(str, chosen)))
    return destination


def _choose_named(
    steps: Sequence[int],
    existing: Sequence[int],
    workdir: StoredPath,
    last: int | None,
    minutes: float | None,
) -> list[int]:
    """Returns the named steps, ascending, each once."""
    if last is not None or minutes is not None:
        raise InputError(
            "steps names the checkpoints to average: leave out last and minutes."
        )
    missing = sorted(set(steps) - set(existing))
    if missing:
        raise InputError(
            f"{workdir} has no checkpoint {missing[0]}: choose of "
            f"{', '.join(map(str, existing)) or 'none'}."
        )
    return sorted(set(steps))


def _choose_last(
    number: int,
    paths: dict[int, StoredPath],
    workdir: StoredPath,
    minutes: float | None,
) -> list[int]:
    """Returns the steps of the last checkpoints, ascending."""
    if number < 1:
        raise InputError(f"last={number} must be at least 1.")
    if minutes is not None and not minutes >= 0:
        raise InputError(f"minutes={minutes} must be at least 0.")
    steps = sorted(paths)
    if minutes is None:
        found, apart = steps[-number:], ""
    else:
        found = choose_spaced(
            steps, lambda step: time_written(paths[step]), 60 * minutes
        )
        found, apart = found[-number:], f" {minutes:g} minutes apart"
    if len(found) < number:
        ending = "" if len(found) == 1 else "s"
        fewer = f"give last={len(found)}" if found else "wait for the first"
        if minutes and len(steps) >= number:
            fewer = f"give fewer minutes, or last={len(found)}"
        raise InputError(
            f"{workdir} has {len(found)} checkpoint{ending}{apart}, fewer than the "
            f"{number} to average: {fewer}, or train longer, with training.keep_last="
            f"{number} or more."
        )
    return found


def choose_spaced(
    steps: Sequence[int], time_of: Callable[[int], float], seconds: float
) -> list[int]:
    """Returns the newest of ascending steps, and going back those far enough apart.

    Args:
        time_of: when the checkpoint of a step was written, in seconds.
        seconds: least time between two that are taken.
    """
    taken = list(steps[-1:])
    for step in reversed(steps[:-1]):
        if time_of(taken[0]) - time_of(step) >= seconds * (1 - _SLACK):
            taken.insert(0, step)
    return taken


def _check_free(directory: StoredPath, workdir: StoredPath) -> StoredPath:
    """Returns the directory, if it is new, empty or an average."""
    is_free = not directory.exists() or (
        directory.is_dir() and not any(directory.iterdir())
    )
    is_average = is_checkpoint(directory) and averaged_steps(directory)
    if not (is_free or is_average):
        raise InputError(
            f"output={directory} is there already and no average: name another."
        )
    if directory.parent == workdir / CHECKPOINTS:
        raise InputError(
            f"output={directory} is among the checkpoints of the run, where an average "
            "would be taken for one of them: name another."
        )
    if directory.parent.name != AVERAGE:
        check_outside_parts(directory, "output")
    return directory


@contextlib.contextmanager
def _reading(directory: StoredPath) -> Iterator[None]:
    """Turns errors of reading a checkpoint into an InputError."""
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        is_removed = isinstance(error, IncompleteCheckpoint)
        if isinstance(error, DamagedCheckpoint) and not is_removed:
            raise
        raise InputError(
            f"{os.fspath(directory)} cannot be read "
            f"({' '.join(str(error).split()):.200}): a run that goes on removes old "
            "checkpoints, so try again, or ask for fewer."
        ) from error


def _mean(directories: Sequence[StoredPath]) -> Params:
    """Returns the mean of the parameters, in the type they are stored in."""
    total: Any = None
    for directory in directories:
        with _reading(directory):
            params = load_params_to_host(directory)
        if total is None:
            total = jax.tree.map(lambda x: np.zeros(x.shape, np.float64), params)
        jax.tree.map(lambda t, x: np.add(t, x, out=t), total, params)
    mean: Params = jax.tree.map(
        lambda t, x: (t / len(directories)).astype(x.dtype), total, params
    )
    return mean


def _check_alike(directories: Sequence[StoredPath]) -> None:
    """Checks that all have the same parameters, in the same vocabulary."""
    found = []
    for directory in directories:
        with _reading(directory):
            shapes = shapes_of(stored_params(directory))
            found.append((shapes, load_description(directory)[1]))
    first, *others = found
    names = [directory.name for directory in directories]
    for name, (shapes, tokenizer) in zip(names[1:], others, strict=True):
        differing = [
            parameter
            for parameter in sorted(first[0] | shapes)
            if first[0].get(parameter) != shapes.get(parameter)
        ]
        if tokenizer != first[1]:
            differing.append("the tokenizer")
        if differing:
            raise InputError(
                f"the checkpoints of steps {names[0]} and {name} are of different "
                f"models, {differing[0]} is not the same: average those of one run."
            )
