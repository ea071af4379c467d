"""Continuing a run: from which checkpoint, with which settings, and with what state."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformer_jax.checkpoints.contents import is_checkpoint
from transformer_jax.checkpoints.reader import StoredCheckpoints, has_checkpoints
from transformer_jax.config.changes import changes_of_run
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.config.reading import differences
from transformer_jax.data.tokenizer_of_run import TrainedWith
from transformer_jax.devices.agreement import (
    all_together,
    decided_by_primary,
)
from transformer_jax.devices.joining import is_primary
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.training.initial_checkpoint import (
    InitialCheckpoint,
    find_initial_checkpoint,
)
from transformer_jax.training.metrics_file import set_lines_aside
from transformer_jax.training.optimizer import make_schedule
from transformer_jax.training.run_record import RunRecord

# A larger change of the learning rate between two updates is worth a word.
_RATE_JUMP = 1.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a run begins, or which checkpoint it continues."""

    step: int | None = None
    """None = it begins."""
    set_aside: tuple[int, ...] = ()
    """Later checkpoints, which it does not continue."""
    record: RunRecord = field(default_factory=RunRecord)
    config: ExperimentConfig | None = None
    """The settings of the checkpoint."""
    trained: TrainedWith | None = None
    initial: InitialCheckpoint | None = None
    """What it begins with, if it begins, and with a checkpoint."""

    def is_finished(self, config: ExperimentConfig) -> bool:
        """Returns whether there is nothing left to do."""
        at_end = self.step == config.training.num_steps
        is_last = at_end and not self.record.evaluation_due
        return is_last or self.why_over(config) is not None

    def why_over(self, config: ExperimentConfig) -> str | None:
        """Returns why the run has ended before its last step; None = it has not."""
        return self.record.why_over(self.step or 0, config.training)


def find_start(
    config: ExperimentConfig,
    workdir: StoredPath,
    from_step: int | None = None,
    *,
    trains: bool = True,
) -> Start:
    """Returns what to continue: the newest checkpoint that is whole. Changes nothing.

    Every process must call it.

    Args:
        from_step: continue this checkpoint, not the newest. Once a run has gone back to
            it, the same settings continue that run.
        trains: whether checkpoints follow. Otherwise those of parameters alone are no
            hindrance.

    Raises:
        InputError: there is no such checkpoint, or none is whole; or a run that begins
            is not to begin with `training.initial_checkpoint`.
    """
    decision = json.loads(
        decided_by_primary(
            "the choice of a checkpoint",
            lambda: json.dumps(_choose(config, workdir, from_step, trains)),
        )
    )
    if decision is None:
        initial = find_initial_checkpoint(config, workdir)
        origin = None if initial is None else initial.origin
        return Start(record=RunRecord(initial_checkpoint=origin), initial=initial)
    step, later, results = decision
    checkpoints = StoredCheckpoints(workdir)
    record = RunRecord.from_dict(checkpoints.run_record(step))
    record = record.after_evaluation(step, results, config.training)
    text = None if record.position is None else record.position.training_text
    if from_step is not None:
        record = dataclasses.replace(record, from_step=from_step)
    return Start(
        step,
        tuple(later),
        record,
        checkpoints.config(step),
        TrainedWith(step, checkpoints.tokenizer(step), text),
    )


def _choose(
    config: ExperimentConfig, workdir: StoredPath, from_step: int | None, trains: bool
) -> tuple[int, list[int], Mapping[str, Any]] | None:
    """Returns the step to continue, those to set aside, and its validation results.

    None where there is no checkpoint. Every file of the one that is chosen is read and
    compared with its checksum.
    """
    _check_no_checkpoint(workdir)
    if not has_checkpoints(workdir) and from_step is None:
        return None
    checkpoints = StoredCheckpoints(workdir)
    alone = [step for step in checkpoints.steps if checkpoints.is_without_run(step)]
    if alone and trains:
        raise InputError(
            f"{checkpoints.directory(alone[-1])} holds parameters alone, as "
            "save_parameters writes them: no run continues from it; choose another "
            "workdir."
        )
    candidates = [step for step in checkpoints.steps if step not in alone]
    damages = {}
    if from_step is not None:
        if from_step not in candidates:
            raise InputError(
                f"from_step={from_step}: {workdir} has no such checkpoint; choose one "
                f"of {', '.join(map(str, candidates)) or 'none'}."
            )
        if not _has_gone_back(checkpoints, config, from_step):
            candidates = [from_step]
    for step in reversed(candidates):
        try:
            checkpoints.verify(step)
            RunRecord.from_dict(checkpoints.run_record(step))
        except InputError as error:
            damages[step] = f"{checkpoints.directory(step)}: {error}"
            continue
        for damaged, message in damages.items():
            logger.warning(
                "%s Continuing from the checkpoint of step %d: the updates from there "
                "to step %d are lost, and that checkpoint is set aside.",
                message,
                step,
                damaged,
            )
        later = [other for other in checkpoints.steps if other > step]
        return step, later, checkpoints.validation(step)
    if not candidates:
        return None
    newest = damages[max(damages)]
    raise InputError(
        f"{newest} No checkpoint before it is whole, so nothing was changed: restore "
        f"one, or choose another workdir than {workdir}."
    )


def _check_no_checkpoint(workdir: StoredPath) -> None:
    """Checks that a work directory is not a checkpoint, or a directory of some.

    Raises:
        InputError: it is.
    """
    if not workdir.is_dir():
        return
    if is_checkpoint(workdir):
        raise InputError(
            f"workdir={workdir} is a checkpoint: to continue it, name the work "
            f"directory above it; or copy it to NEW/checkpoints/{workdir.name} and "
            "give NEW."
        )
    inside = [path for path in workdir.iterdir() if path.name.isdecimal()]
    if any(map(is_checkpoint, inside)):
        raise InputError(
            f"workdir={workdir} holds checkpoints itself ({inside[0].name}): name the "
            "work directory above them, or move them to its directory `checkpoints`."
        )


def _has_gone_back(
    checkpoints: StoredCheckpoints, config: ExperimentConfig, from_step: int
) -> bool:
    """Returns whether the newest checkpoint comes from the same wish to go back.

    A job that is started again and again by the same command must not go back each
    time; other settings mean another attempt.
    """
    newest = checkpoints.steps[-1]
    if newest == from_step:
        return False
    try:
        record = RunRecord.from_dict(checkpoints.run_record(newest))
        before = checkpoints.config(newest)
    except InputError:
        return False
    if record.from_step != from_step or before != config:
        return False
    logger.info(
        "the run has gone back to step %d already, and goes on; to go back once more, "
        "change a setting, or name another step",
        from_step,
    )
    return True


def check_continues(
    config: ExperimentConfig, start: Start, workdir: StoredPath
) -> None:
    """Checks that a run with these settings may continue the one in a work directory.

    Raises:
        InputError: the settings of model, tokenizer or leaves of trees differ, or what
            the run began with and what it keeps fixed, or the last step lies behind the
            checkpoint.
    """
    if start.config is None or start.step is None:
        return
    fixed = changes_of_run(start.config, config)
    if fixed:
        raise InputError(
            f"workdir={workdir} holds a run with other settings ({'; '.join(fixed)}): "
            "keep them, or choose another directory."
        )
    _check_fine_tuning(start.config.training, config.training, workdir)
    if config.training.num_steps < start.step:
        raise InputError(
            f"training.num_steps={config.training.num_steps} lies behind step "
            f"{start.step}, to which workdir={workdir} was trained: ask for more, or "
            "choose another directory; an earlier checkpoint is continued with "
            "from_step."
        )


def _check_fine_tuning(
    before: TrainingConfig, now: TrainingConfig, workdir: StoredPath
) -> None:
    """Checks that a run keeps its beginning and its frozen parts.

    Raises:
        InputError: it does not.
    """
    old, new = before.initial_checkpoint, now.initial_checkpoint
    is_same = old == new or (old and new and work_directory(old) == work_directory(new))
    if not is_same:
        raise InputError(
            f"training.initial_checkpoint: {old!r} -> {new!r}: the run in workdir="
            f"{workdir} has begun, and goes on from its own checkpoints: give the "
            "setting as before, or choose another directory."
        )
    if set(before.frozen) != set(now.frozen):
        raise InputError(
            f"training.frozen: {before.frozen!r} -> {now.frozen!r}: the run in workdir="
            f"{workdir} keeps what it has frozen: give the setting as before; or begin "
            "a new run with training.initial_checkpoint set to this directory."
        )


def warn_of_changes(config: ExperimentConfig, start: Start) -> None:
    """Logs what differs from the checkpoint, and a jump of the learning rate."""
    if start.config is None or not start.step:
        return
    for change in differences(start.config, config):
        logger.warning(
            "a setting is not that of the checkpoint of step %d, %s", start.step, change
        )
    before, now = (
        float(make_schedule(c)(start.step - 1)) for c in (start.config, config)
    )
    ratio = now / before if before > 0 else float("inf")
    if now > 0 and not 1 / _RATE_JUMP <= ratio <= _RATE_JUMP:
        logger.warning(
            "the learning rate jumps from %.2g to %.2g at step %d: its schedule is "
            "another than before",
            before,
            now,
            start.step,
        )


def set_aside_together(start: Start, workdir: StoredPath) -> None:
    """Moves the checkpoints away that the run does not continue.

    Every process must call it.
    """
    if not start.set_aside:
        return
    with all_together("setting checkpoints aside"):
        if is_primary():
            checkpoints, step = StoredCheckpoints(workdir), start.step or 0
            for path in checkpoints.set_aside_after(step, start.set_aside):
                logger.info("set aside %s", path)
            set_lines_aside(workdir, step)
