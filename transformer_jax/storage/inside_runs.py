"""Whether a path lies in a work directory that has checkpoints.

What a user lets a command write there would be taken for a part of the run: a directory
among its checkpoints for one of them, from which nothing can go on.
"""

import os
from pathlib import Path

from transformer_jax.errors import InputError

_PathLike = str | os.PathLike[str]

_RECORD, _CHECKPOINTS = "config.json", "checkpoints"
_PARTS = (_CHECKPOINTS, "average", "corpus")


def run_around(path: _PathLike) -> Path | None:
    """Returns the work directory that a path on disk is, or lies in; links followed."""
    if "://" in os.fspath(path):  # In an object store.
        return None
    real = Path(os.path.realpath(path))
    return next((folder for folder in (real, *real.parents) if _is_run(folder)), None)


def part_of_run(path: _PathLike) -> Path | None:
    """Returns the directory of a run's checkpoints, averages or corpus around a path.

    None where it lies in none; the directory of the run itself is none.
    """
    run = run_around(path)
    if run is None:
        return None
    inside = Path(os.path.realpath(path)).relative_to(run).parts
    return run / inside[0] if inside and inside[0] in _PARTS else None


def check_outside_runs(path: _PathLike, name: str) -> None:
    """Checks that a directory that will be made is no part of a run.

    Args:
        name: of the argument, for the message.

    Raises:
        InputError: it is.
    """
    run = run_around(path)
    if run is not None:
        raise InputError(
            f"{name}={os.fspath(path)} is inside the run {run}, and would be taken for "
            "a part of it: name a directory outside."
        )


def check_outside_parts(path: _PathLike, name: str) -> None:
    """Checks that nothing will be written among the checkpoints of a run, or likewise.

    Args:
        name: of the argument, for the message.

    Raises:
        InputError: it will.
    """
    part = part_of_run(path)
    if part is not None:
        raise InputError(
            f"{name}={os.fspath(path)} is inside {part}, where a run keeps its own: "
            "name another place."
        )


def _is_run(folder: Path) -> bool:
    try:
        return (folder / _RECORD).is_file() and (folder / _CHECKPOINTS).is_dir()
    except OSError:  # It may not be looked into.
        return False
