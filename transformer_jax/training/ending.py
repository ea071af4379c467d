"""How a run ends before its last step, and what it says then."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from transformer_jax.checkpoints.errors import SaveError
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import TrainingConfig
from transformer_jax.interruption import Interrupted, signal_name

logger = logging.getLogger(__name__)


class NonFiniteError(RuntimeError):
    """Updates or results are not numbers, or far from those of a sane model.

    Example:
        >>> issubclass(tj.NonFiniteError, RuntimeError)
        True
    """


def interruption_at(
    signal_number: int, step: int, *, is_saved: bool, seconds: float
) -> Interrupted:
    """Returns the exception that ends a run which was asked to end.

    Args:
        is_saved: whether the checkpoint of this step is on disk.
        seconds: from the request to now.
    """
    name = signal_name(signal_number)
    kept = (
        "its checkpoint is written and the same command continues"
        if is_saved
        else "no checkpoint could be written"
    )
    return Interrupted(
        f"ended by {name} after step {step:,}; {kept} ({seconds:.1f} s)", signal_number
    )


def no_sound_update(
    reason: str, num_skipped: int, step: int, *, steps: Sequence[int]
) -> NonFiniteError:
    """Returns the exception that ends a run whose updates cannot be applied.

    Args:
        step: the update that failed.
        steps: those that have a checkpoint.
    """
    # The parameters that a checkpoint of the step before holds gave these updates.
    good = [s for s in steps if s < step - 1]
    suspect = [s for s in steps if s >= step - 1]
    about = f"checkpoint {suspect[-1]} may hold the cause" if suspect else ""
    if good:
        advice = f"continue from checkpoint {good[-1]} with --from-step {good[-1]}"
    elif suspect:
        advice = "there is none before it: begin in a new directory"
    else:
        advice = "there is no checkpoint: begin in a new directory"
    return NonFiniteError(
        f"{num_skipped} updates in a row were skipped, the last at step {step}: "
        f"{reason}; their pairs are in skipped.jsonl. "
        f"{'; '.join(filter(None, [about, advice]))}, and lower "
        "optimizer.learning_rate_scale or raise optimizer.warmup_steps."
    )


@contextlib.contextmanager
def promising_to_continue() -> Iterator[None]:
    """Adds to the message of an interruption before training that nothing is lost."""
    try:
        yield
    except Interrupted as end:
        if "same command" in str(end):
            raise
        raise Interrupted(
            f"{end}; no update is lost, and the same command goes on", end.signal_number
        ) from end


@contextlib.contextmanager
def failing_as_set(settings: TrainingConfig) -> Iterator[None]:
    """Makes a SaveError a warning, if the settings ask to go on."""
    try:
        yield
    except SaveError as error:
        if settings.if_save_fails == "stop":
            raise
        logger.warning("%s Going on (training.if_save_fails).", error)


def require_written(checkpoints: Checkpoints, step: int) -> None:
    """Checks that the last checkpoint of a run is on disk: without it nothing is won.

    Raises:
        SaveError: it is not.
    """
    if not checkpoints.is_written(step):
        raise SaveError(
            f"trained to step {step}, but its checkpoint could not be written: make "
            "room, and the same command goes on from the last one."
        )
