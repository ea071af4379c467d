"""The order of events in a run: update, report, evaluate, checkpoint."""

import functools
import itertools
import logging
import math
import time
from typing import Any

import jax
from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.pipeline import RowOrder, make_batches, pack_corpus
from transformer_jax.data.prepare import PreparedData
from transformer_jax.devices import sharding
from transformer_jax.devices.agreement import same_on_all_hosts
from transformer_jax.evaluation.evaluate import (
    mean_loss,
    split_batches,
    translation_scores,
)
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.training.reporting import Reporter, announce_compilation
from transformer_jax.training.state import TrainState, checkpoint_items
from transformer_jax.training.step import make_train_step
from transformer_jax.training.window import Window
from transformer_jax.translation.translator import Translator

logger = logging.getLogger(__name__)


class NonFiniteError(RuntimeError):
    """Too many updates in a row had a loss or gradient that is not a number."""


class TrainingLoop:
    """The updates of a run, and all that happens between them."""

    def __init__(
        self,
        config: ExperimentConfig,
        mesh: Mesh,
        data: PreparedData,
        checkpoints: Checkpoints,
        reporter: Reporter,
    ) -> None:
        self._config = config
        self._settings = config.training
        self._mesh = mesh
        self._data = data
        self._checkpoints = checkpoints
        self._reporter = reporter
        self._packed = pack_corpus(data.train, config.data, seed=config.training.seed)
        self._order = RowOrder(
            self._packed.num_rows, config.data.rows, config.training.seed
        )
        self._evaluation_step = make_evaluation_step(config, mesh)
        self._window = Window()
        self._skipped_in_a_row = 0
        self._checkpointed = time.monotonic()
        logger.info(
            "%d training pairs in %d rows, %.1f updates an epoch; left out: %d too "
            "long for a row, %d with an empty side",
            len(self._packed.pairs),
            self._packed.num_rows,
            self._packed.num_rows / config.data.rows,
            len(self._packed.too_long),
            data.train.num_empty,
        )

    def train(self, state: TrainState) -> TrainState:
        """Updates until the last step; returns the state after it."""
        progress = self._reporter.progress
        train_step = announce_compilation(
            make_train_step(self._config, self._mesh), progress
        )
        batches = make_batches(
            self._data.train,
            self._packed,
            self._config.data,
            seed=self._settings.seed,
            start_step=int(state.batches),
            rows_of_host=functools.partial(sharding.rows_of_host, mesh=self._mesh),
        )
        applied, pending = int(state.step), None
        self._window = Window()
        while applied < self._settings.num_steps:
            batch = sharding.make_global(next(batches), self._mesh)
            state, report = train_step(state, batch)
            # Metrics of the previous update are fetched while this one runs.
            if pending is not None:
                applied += self._account(pending, applied + 1)
            pending = report
            progress.advance(applied + 1)
            if not self._is_due(applied + 1):
                continue
            is_applied = self._account(pending, applied + 1)
            pending = None
            # If the update was skipped, the next batch has the same step number.
            if is_applied:
                applied += 1
                self._after_update(applied, state)
        return state

    def _account(self, report: dict[str, Any], step: int) -> bool:
        """Adds an update to the window; returns whether it was applied."""
        values = {name: float(value) for name, value in jax.device_get(report).items()}
        if not values["skipped"]:
            self._skipped_in_a_row = 0
            self._window.add(values)
            return True
        self._skipped_in_a_row += 1
        self._window.num_skipped += 1
        logger.warning("step %d: loss or gradient not finite, update skipped", step)
        if self._skipped_in_a_row < self._settings.max_skipped_steps:
            return False
        self._checkpoints.wait()
        steps = self._checkpoints.steps
        good = (
            f"checkpoint {steps[-1]} is intact" if steps else "there is no checkpoint"
        )
        raise NonFiniteError(
            f"loss or gradient was not finite in {self._skipped_in_a_row} updates in a "
            f"row, at step {step}; {good}. Lower "
            "optimizer.learning_rate_scale or raise optimizer.warmup_steps."
        )

    def _is_due(self, step: int) -> bool:
        settings = self._settings
        intervals = (
            settings.log_every_steps,
            settings.evaluate_every_steps,
            settings.checkpoint_every_steps,
        )
        at_interval = any(interval and step % interval == 0 for interval in intervals)
        return at_interval or step == settings.num_steps

    def _after_update(self, step: int, state: TrainState) -> None:
        """Reports, evaluates and saves if it is time to."""
        settings = self._settings
        is_last = step == settings.num_steps
        if step % settings.log_every_steps == 0 or is_last:
            epoch = self._order.epoch_of(int(state.batches))
            line = {**self._window.summary(), "epoch": epoch}
            self._reporter.report("train", step, line)
            self._window = Window()
        paused = time.perf_counter()
        validation = None
        if self._data.validation is not None and (
            step % settings.evaluate_every_steps == 0 or is_last
        ):
            self._reporter.progress.say(f"step {step:,}: evaluating")
            validation = self._evaluate(state)
            self._reporter.report("validation", step, validation)
        if validation or is_last or self._is_checkpoint_due(step):
            self._reporter.progress.say(f"step {step:,}: saving")
            self._save(step, state, validation)
        self._reporter.progress.say("")
        # Throughput is that of training alone.
        self._window.started += time.perf_counter() - paused

    def _evaluate(self, state: TrainState) -> dict[str, Any]:
        assert self._data.validation is not None
        assert self._data.validation_pairs is not None
        started = time.perf_counter()
        batches = split_batches(self._data.validation, self._config, self._mesh)
        results: dict[str, Any] = mean_loss(
            self._evaluation_step, state.final_params, batches, self._mesh
        )
        limit = self._settings.validation_bleu_sentences
        if limit != 0:
            pairs = list(itertools.islice(self._data.validation_pairs, limit))
            translator = Translator(
                self._config, state.final_params, self._data.tokenizer, self._mesh
            )
            sources, references = zip(*pairs, strict=True)
            results |= translation_scores(translator, sources, references)
        return {**results, "seconds": time.perf_counter() - started}

    def _is_checkpoint_due(self, step: int) -> bool:
        settings = self._settings
        if settings.checkpoint_every_steps and (
            step % settings.checkpoint_every_steps == 0
        ):
            return True
        minutes = (time.monotonic() - self._checkpointed) / 60
        limit = settings.checkpoint_every_minutes or math.inf
        # Clocks of hosts differ, but all must save at the same step.
        return bool(same_on_all_hosts(minutes >= limit))

    def _save(
        self, step: int, state: TrainState, validation: dict[str, Any] | None
    ) -> None:
        numbers = {
            k: v for k, v in (validation or {}).items() if isinstance(v, int | float)
        }
        self._reporter.flush()
        self._checkpoints.save(
            step,
            *checkpoint_items(state),
            self._config,
            self._data.tokenizer,
            numbers or None,
        )
        self._checkpointed = time.monotonic()
