"""Agreement between the processes of one run."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from transformer_jax.devices.joining import is_primary
from transformer_jax.errors import InputError

# The primary may need hours to prepare the data. If a process ends, the others stop
# waiting at once.
_PATIENCE_SECONDS = 12 * 3600


@contextlib.contextmanager
def primary_first(name: str) -> Iterator[None]:
    """Runs a block in the primary process, then in the others.

    Every process must enter it. If it fails in one process, it fails in all: the others
    raise an InputError with the error and the number of that process.

    Args:
        name: of the block, the same on every process.
    """
    if jax.process_count() == 1:
        yield
        return
    if not is_primary():
        _raise_together(f"{name} by the primary", None)
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    if is_primary():
        _raise_together(f"{name} by the primary", failure)
    _raise_together(f"{name} by all", failure)


@contextlib.contextmanager
def all_together(name: str) -> Iterator[None]:
    """Runs a block in every process at the same time, and waits for the last.

    Every process must enter it. If it fails in one process, it fails in all: the others
    raise an InputError with the error and the number of that process.

    Args:
        name: of the block, the same on every process.
    """
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    if jax.process_count() > 1:
        _raise_together(name, failure)
    elif failure is not None:
        raise failure


def _raise_together(name: str, failure: Exception | None) -> None:
    """Waits for all processes; raises in all if one of them has failed.

    Every process must call it.
    """
    errors = _gather(name, "" if failure is None else str(failure) or repr(failure))
    if failure is not None:
        raise failure
    for index, error in enumerate(errors):
        if error:
            raise InputError(f"process {index} failed: {error}")


def decided_by_primary(name: str, decide: Callable[[], str]) -> str:
    """Returns a decision of the primary process to every process.

    Every process must call it. If it fails there, it fails in all.

    Args:
        decide: is called in the primary alone.
    """
    if jax.process_count() == 1:
        return decide()
    decision, failure = "", None
    if is_primary():
        try:
            decision = decide()
        except Exception as error:
            failure = error
    _raise_together(name, failure)
    return _gather(f"{name}, decided", decision)[0]


def require_agreement(name: str, values: Mapping[str, str]) -> None:
    """Checks that all processes have the same values.

    Every process must call it.

    Raises:
        InputError: on all of them, with each value that differs.
    """
    if jax.process_count() == 1:
        return
    gathered = [json.loads(text) for text in _gather(name, json.dumps(dict(values)))]
    first, differences = gathered[0], []
    for index, other in enumerate(gathered):
        differences += [
            f"{key} is {first.get(key)} in process 0 and {other.get(key)} in process "
            f"{index}"
            for key in sorted(first.keys() | other.keys())
            if first.get(key) != other.get(key)
        ]
    if differences:
        more = f"; and {len(differences) - 4} more" if len(differences) > 4 else ""
        raise InputError(
            f"the processes of this job do not agree: {'; '.join(differences[:4])}"
            f"{more}. Start all with the same {name}."
        )


def same_on_all_hosts(value: float) -> float:
    """Returns the primary process's value to every process.

    For decisions that depend on one host alone, as on its clock.
    Every process must call it.
    """
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float64(value)))


def sum_of_all_hosts(value: int) -> int:
    """Returns the sum of the values of all processes, to every process.

    Every process must call it.
    """
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.process_allgather(np.int32(value)).sum(dtype=np.int64))


def reached_preemption(update: int) -> bool:
    """Returns whether JAX has told all processes to end after this update.

    Its service tells them of a notice that one of them has received. Every process must
    call it, after every update.
    """
    from orbax.checkpoint import multihost  # Slow to import.

    return bool(multihost.reached_preemption(update))


def _gather(name: str, text: str) -> list[str]:
    """Returns the texts of all processes; waits until every process has called it."""
    # Slow to import. Its barrier needs no device, so no device's time limit holds.
    from orbax.checkpoint import multihost

    multihost.sync_global_processes(name, timeout=_PATIENCE_SECONDS)
    contents = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(contents)))
    padded = np.zeros(max(1, int(lengths.max())), np.uint8)
    padded[: len(contents)] = contents
    rows = multihost_utils.process_allgather(padded)
    return [
        bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)
    ]
