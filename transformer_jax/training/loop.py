"""The order of events in a run: update, report, save, evaluate."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from transformer_jax import interruption
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.pipeline import make_batches, pack_corpus
from transformer_jax.data.prepare import PreparedData
from transformer_jax.data.text_warnings import log_size, warn_of_rows
from transformer_jax.devices import sharding
from transformer_jax.devices.agreement import all_together
from transformer_jax.devices.joining import is_primary
from transformer_jax.devices.stopping import StopRequested, StopVote
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.training.accounting import Accounting, TooManySkipped
from transformer_jax.training.corpus_metrics import epochs_by_name, name_corpora
from transformer_jax.training.ending import (
    failing_as_set,
    interruption_at,
    no_sound_update,
    require_written,
)
from transformer_jax.training.intervals import Intervals
from transformer_jax.training.patience import Patience
from transformer_jax.training.reporting import Reporter, announce_compilation
from transformer_jax.training.restoring import restore_state
from transformer_jax.training.run_record import (
    RunRecord,
    order_of_rows,
    position_at_start,
    stored_record,
)
from transformer_jax.training.state import TrainState, checkpoint_items, with_batches
from transformer_jax.training.step import make_train_step
from transformer_jax.training.validation import Validation
from transformer_jax.training.watchdog import Watchdog
from transformer_jax.training.window import Window

logger = logging.getLogger(__name__)


class TrainingLoop:
    """The updates of a run, and all that happens between them."""

    def __init__(
        self,
        config: ExperimentConfig,
        mesh: Mesh,
        data: PreparedData,
        checkpoints: Checkpoints,
        reporter: Reporter,
        workdir: StoredPath,
        *,
        batches: int,
        record: RunRecord,
        check_lock: Callable[[], None],
    ) -> None:
        """Packs the data.

        Args:
            batches: those taken so far.
            record: what the checkpoint says that the run continues from.
            check_lock: raises if another run has taken the work directory.
        """
        self._config, self._mesh, self._data = config, mesh, data
        self._checkpoints, self._reporter = checkpoints, reporter
        self._record, self._check_lock = record, check_lock
        self._packed = pack_corpus(data.train, config.data, seed=config.training.seed)
        self._position = position_at_start(config, self._packed, data.training_text)
        place = self._position
        self._order = order_of_rows(config, self._packed, place, record, batches)
        self._accounting = Accounting(config, data, self._packed, self._order, workdir)
        self._resume_window(record)
        self._accounting.skipped_in_a_row = record.skipped_in_a_row
        self._rollbacks = record.rollbacks
        self._patience = Patience(config.training, record.plateau)
        self._validation = Validation(config, mesh, data)
        self._intervals = Intervals(
            config.training, has_validation=data.validation is not None
        )
        self._vote = StopVote(mesh)
        self._watchdog = Watchdog(config.training.stall_minutes)
        log_size(data.train, self._packed, config.data)
        warn_of_rows(data.train, self._packed)

    def train(self, state: TrainState) -> TrainState:
        """Updates until the last step, or until patience ends; returns the state then.

        Raises:
            Interrupted: a signal has asked for the end; a checkpoint was written.
            NonFiniteError: updates or validation results are not those of a sane model.
            SaveError: a checkpoint could not be written.
        """
        train_step = announce_compilation(
            make_train_step(self._config, self._mesh), self._reporter.progress
        )
        with interruption.finish_first(), self._watchdog.watching():
            step = self._applied = int(state.step)
            self._taken = int(state.batches)
            if self._record.evaluation_due and self._intervals.is_evaluated(step):
                self._evaluate(step, state)
            while not self._is_over(step):
                try:
                    state = self._updates(train_step, state)
                except TooManySkipped as failure:
                    state = self._roll_back(failure)
                step = int(state.step)
            with failing_as_set(self._config.training):
                self._checkpoints.wait()
            require_written(self._checkpoints, step)
            if self.why_over:
                logger.info("stopped early at step %d: %s", step, self.why_over)
        return state

    @property
    def why_over(self) -> str | None:
        """Why the run has ended before its last step; None = it has not."""
        return self._patience.why_over

    def _is_over(self, step: int) -> bool:
        return step >= self._config.training.num_steps or self.why_over is not None

    def _updates(
        self,
        train_step: Callable[..., tuple[TrainState, dict[str, Any]]],
        state: TrainState,
    ) -> TrainState:
        """Updates until the run is over, or until too many in a row were skipped."""
        self._applied, self._taken = int(state.step), int(state.batches)
        batches = make_batches(
            self._data.train,
            self._packed,
            self._config.data,
            seed=self._config.training.seed,
            start_step=self._taken,
            first_row=self._order.first_row,
            rows_of_host=functools.partial(sharding.rows_of_host, mesh=self._mesh),
        )
        pending = None
        while not self._is_over(self._applied):
            batch = sharding.make_global(next(batches), self._mesh)
            state, report = train_step(state, batch)
            # Metrics of the previous update are fetched while this one runs.
            if pending is not None:
                self._account(pending, self._taken - 1)
            self._taken += 1
            pending = report
            self._reporter.progress.advance(self._applied + 1)
            self._watchdog.beat("training", self._applied)
            signal_number = self._vote.after_update(self._taken)
            if not signal_number and not self._intervals.is_any(self._applied + 1):
                continue
            is_applied = self._account(pending, self._taken - 1)
            pending = None
            # If the update was skipped, the next batch has the same step number.
            if is_applied:
                self._after_update(state, stopping=bool(signal_number))
            if signal_number:
                self._end(signal_number, state)
        return state

    def _account(self, report: dict[str, Any], batch: int) -> bool:
        """Adds an update to the window; returns whether it was applied."""
        values = name_corpora(jax.device_get(report), self._config.data.corpus_names)
        is_applied = self._accounting.add(values, self._applied + 1, batch)
        self._applied += is_applied
        return is_applied

    def _after_update(self, state: TrainState, *, stopping: bool) -> None:
        """Reports, saves and evaluates if it is time to."""
        step, intervals = self._applied, self._intervals
        if intervals.is_logged(step):
            line = self._accounting.window.summary()
            line |= epochs_by_name(self._order, self._taken, self._config.data)
            self._reporter.report("train", step, line)
            self._accounting.window = Window()
        paused = time.perf_counter()
        if intervals.is_saved(step) and not stopping:
            self._save(step, state)
        if intervals.is_evaluated(step) and not stopping:
            self._evaluate(step, state)
        self._reporter.progress.say("")
        # Throughput is that of training alone.
        self._accounting.window.started += time.perf_counter() - paused

    def _evaluate(self, step: int, state: TrainState) -> None:
        """Evaluates a state whose checkpoint was begun, and adds the results to it."""
        self._reporter.progress.say(f"step {step:,}: evaluating")

        def on_done(_: object) -> None:
            self._watchdog.beat("evaluating", step)
            self._vote.check()

        try:
            with interruption.doing(
                "evaluating", may_abandon=lambda: self._checkpoints.is_written(step)
            ):
                results = self._validation.evaluate(state, on_done)
        except StopRequested as stop:
            self._end(stop.signal_number, state)
        self._reporter.report("validation", step, results)
        numbers = {k: v for k, v in results.items() if isinstance(v, int | float)}
        yardstick, before = self._validation.yardstick(), self._checkpoints.yardstick
        if before not in (None, yardstick):
            logger.warning(
                "validation has another text or other settings than before: the best "
                "checkpoint is chosen among those evaluated from step %d on",
                step,
            )
        self._reporter.flush()
        with failing_as_set(self._config.training):
            self._checkpoints.set_validation(step, numbers, yardstick)
        self._patience.note(step, numbers, yardstick)

    def _save(self, step: int, state: TrainState) -> None:
        """Begins to write a checkpoint."""
        self._reporter.progress.say(f"step {step:,}: saving")
        self._watchdog.beat("saving", step)
        self._check_lock()
        self._reporter.flush()
        place = self._order.place_of(self._taken)
        record = RunRecord(
            position=dataclasses.replace(self._position, row=place),
            window=self._accounting.window.to_dict(),
            skipped_in_a_row=self._accounting.skipped_in_a_row,
            rollbacks=self._rollbacks,
            from_step=self._record.from_step,
            initial_checkpoint=self._record.initial_checkpoint,
            evaluation_due=self._intervals.is_evaluated(step),
            plateau=self._patience.plateau,
            mesh=dict(self._mesh.shape),
        )
        with failing_as_set(self._config.training):
            self._checkpoints.wait()  # The one before may have failed.
        with failing_as_set(self._config.training):
            self._checkpoints.save(
                step,
                *checkpoint_items(state),
                self._config,
                self._data.tokenizer,
                run=record.to_dict(),
            )
        self._intervals.note_saved()

    def _end(self, signal_number: int, state: TrainState) -> None:
        """Writes a checkpoint of a state, and raises Interrupted."""
        started, step = time.monotonic(), self._applied
        with failing_as_set(self._config.training):
            self._save(step, state)
            self._watchdog.beat("waiting for the checkpoint", step)
            self._checkpoints.wait()
        raise interruption_at(
            signal_number,
            step,
            is_saved=self._checkpoints.is_written(step),
            seconds=time.monotonic() - started,
        )

    def _roll_back(self, failure: TooManySkipped) -> TrainState:
        """Returns the state of an earlier checkpoint, for the batches after these."""
        self._checkpoints.wait()
        steps, failed = self._checkpoints.steps, self._applied + 1
        # That of the step before gave these updates: it may hold the cause.
        good = [step for step in steps if step < failed - 1] or steps
        if not good or self._rollbacks >= self._config.training.max_rollbacks:
            raise no_sound_update(failure.reason, failure.number, failed, steps=steps)
        self._rollbacks += 1
        step = good[-1]
        logger.warning(
            "%d updates in a row were skipped: going back to the checkpoint of step %d,"
            " and on with the rows after them (%d of %d times)",
            failure.number,
            step,
            self._rollbacks,
            self._config.training.max_rollbacks,
        )
        state = restore_state(self._config, self._mesh, self._checkpoints, step)
        record = stored_record(self._checkpoints, step, self._config.training)
        with all_together("setting checkpoints aside"):
            if is_primary():
                later = [other for other in steps if other > step]
                self._checkpoints.set_aside_after(step, later)
        self._checkpoints.reload()
        self._reporter.rewind(step)
        self._resume_window(record)
        self._patience = Patience(self._config.training, record.plateau)
        self._accounting.skipped_in_a_row = 0
        return with_batches(state, self._taken)

    def _resume_window(self, record: RunRecord) -> None:
        self._accounting.window = Window.from_dict(record.window or {})
