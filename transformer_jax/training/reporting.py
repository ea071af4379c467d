"""Reports of a run: metrics.jsonl, TensorBoard, progress."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from transformer_jax import interruption
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.joining import is_primary
from transformer_jax.progress import Progress
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.training.metrics_file import (
    METRICS_FILE,
    LinesFile,
    read_metrics,
    set_lines_aside,
    to_json,
)
from transformer_jax.training.tensorboard import Events

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

# Nothing can be appended to a file in an object store: it is written anew so often.
_REWRITE_SECONDS = 60.0


class Reporter:
    """Writes the metrics of a run and shows its progress, in the primary process.

    A run that continues from an earlier step drops the lines of later steps, so that
    every step has one line.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        num_steps: int,
        start_step: int,
        progress: bool,
        on_metrics: Callable[[Mapping[str, Any]], None] | None = None,
        evaluation_due: bool = False,
    ) -> None:
        """Opens the files.

        Args:
            on_metrics: called with each line.
            evaluation_due: the start step will be evaluated again.
        """
        found = read_metrics(workdir)
        self.history = _lines_until(start_step, found, evaluation_due)
        _warn_of_gap(found, self.history, start_step)
        self._active, self._on_metrics = is_primary(), on_metrics
        self._compiles = CompileCounter()
        self.progress = Progress(num_steps, "steps", done=start_step, shown=progress)
        if not self._active:
            return
        folder = work_directory(workdir)
        self._folder = folder
        self._open(start_step)
        self._flushed = time.monotonic()

    def _open(self, start_step: int) -> None:
        self._lines = LinesFile(self._folder / METRICS_FILE, map(to_json, self.history))
        self._events = Events(self._folder, purge_step=start_step + 1)

    def rewind(self, step: int) -> None:
        """Drops what was told after a step: the run has gone back to it."""
        self.history = _lines_until(step, self.history)
        self.progress.advance(step)
        if self._active:
            self._lines.close()
            self._events.close()
            set_lines_aside(self._folder, step)
            self._open(step)

    def report(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Adds a line of numbers; `kind` is train or validation."""
        line = {
            "kind": kind,
            "step": step,
            **{k: v for k, v in values.items() if v is not None},
            "compile_count": self._compiles.count,
        }
        self.history.append(line)
        if self._active:
            self._write(kind, step, line)
        if self._on_metrics is not None:
            self._on_metrics(dict(line))

    def _write(self, kind: str, step: int, line: Mapping[str, Any]) -> None:
        """Writes a line of numbers, and shows it."""
        self._lines.add(to_json(line))
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                self._events.add(f"{kind}/{name}", value, step)
        if kind == "train":
            self.progress.show(
                {
                    "loss": f"{line['loss']:.3f}",
                    "lr": f"{line['learning_rate']:.1e}",
                    "tok/s": f"{line['target_tokens_per_second']:,.0f}",
                }
            )
        else:
            self.progress.write(f"step {step:,}: {kind} {_readable(line)}")
        if time.monotonic() - self._flushed > _REWRITE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes metrics and events into the work directory, if they are not there yet.

        Call it before a checkpoint: a run that continues from there needs them.
        """
        if self._active:
            self._lines.flush()
            self._events.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Writes what is buffered, and ends the progress bar."""
        self._compiles.close()
        if self._active:
            self._lines.close()
            self._events.close()
            self.progress.close()


def announce_compilation(
    function: Callable[_Parameters, _Result], progress: Progress
) -> Callable[_Parameters, _Result]:
    """Returns a function whose first call says that it compiles, and how long it took.

    A jitted function returns from its first call when it has compiled.
    """
    is_first = True

    def run(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        nonlocal is_first
        if not is_first:
            return function(*args, **kwargs)
        is_first = False
        progress.say("compiling")
        started = time.monotonic()
        # Nothing is lost yet if a signal ends the process here.
        with interruption.doing("compiling", may_abandon=lambda: True):
            result = function(*args, **kwargs)
        progress.say("")
        progress.write(f"compiled in {time.monotonic() - started:,.0f} s")
        return result

    return run


def _lines_until(
    step: int, lines: list[dict[str, Any]], evaluation_due: bool = False
) -> list[dict[str, Any]]:
    """Returns the lines of a run that goes on from a step."""
    return [
        line
        for line in lines
        if line["step"] <= step
        and step > 0
        and not (
            evaluation_due and line["step"] == step and line["kind"] == "validation"
        )
    ]


def _warn_of_gap(
    found: list[dict[str, Any]], history: list[dict[str, Any]], start_step: int
) -> None:
    """Logs a warning if lines are missing, or the checkpoints that lines tell of."""
    later = max((line["step"] for line in found), default=0)
    if start_step == 0 and later > 0:
        logger.warning(
            "metrics.jsonl tells of step %d, but there is no checkpoint: beginning at "
            "step 0",
            later,
        )
    elif start_step > 0 and not history:
        logger.warning(
            "metrics.jsonl has no line of the steps up to %d, and begins after them",
            start_step,
        )


def _readable(values: Mapping[str, Any]) -> str:
    left_out = ("step", "compile_count")
    numbers = {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and name not in left_out
    }
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
