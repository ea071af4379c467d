"""Reports of a run: metrics.jsonl, TensorBoard, progress."""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.joining import is_primary
from transformer_jax.progress import Progress
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.training.metrics_file import MetricsFile, read_metrics
from transformer_jax.training.tensorboard import Events

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

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
    ) -> None:
        self.history = [
            line
            for line in read_metrics(workdir)
            if line["step"] <= start_step and start_step > 0
        ]
        self._active = is_primary()
        self._compiles = CompileCounter()
        self.progress = Progress(num_steps, "steps", done=start_step, shown=progress)
        if not self._active:
            return
        folder = work_directory(workdir)
        self._lines = MetricsFile(folder, map(json.dumps, self.history))
        self._events = Events(folder, purge_step=start_step + 1)
        self._flushed = time.monotonic()

    def report(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Adds a line of numbers; `kind` is train or validation."""
        line = {
            "kind": kind,
            "step": step,
            **{k: v for k, v in values.items() if v is not None},
            "compile_count": self._compiles.count,
        }
        self.history.append(line)
        if not self._active:
            return
        self._lines.add(json.dumps(line))
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                self._events.add(f"{kind}/{name}", value, step)
        if kind == "train":
            tokens_per_second = f"{values['target_tokens_per_second']:,.0f}"
            self.progress.show(
                {
                    "loss": f"{values['loss']:.3f}",
                    "lr": f"{values['learning_rate']:.1e}",
                    "tok/s": tokens_per_second,
                }
            )
        else:
            self.progress.write(f"step {step:,}: {kind} {_readable(values)}")
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
        result = function(*args, **kwargs)
        progress.say("")
        progress.write(f"compiled in {time.monotonic() - started:,.0f} s")
        return result

    return run


def _readable(values: Mapping[str, Any]) -> str:
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
