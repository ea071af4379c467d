"""What a run tells: metrics.jsonl, TensorBoard, a progress bar. Primary host only."""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from tensorboardX import SummaryWriter
from tqdm.auto import tqdm

from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.joining import is_primary
from transformer_jax.storage.work_directory import (
    StoredPath,
    is_remote,
    work_directory,
    write_whole,
)

METRICS_FILE = "metrics.jsonl"

# How often files in an object store, where nothing can be appended, are written anew.
_REWRITE_SECONDS = 60.0

logger = logging.getLogger(__name__)


class _Lines:
    """A file of lines, whole on disk after each; in an object store after `flush`."""

    def __init__(self, path: StoredPath, lines: Iterable[str]) -> None:
        self._path = path
        self._lines = list(lines)
        self._file: IO[Any] | None = None
        self.flush()
        if not is_remote(path):
            self._file = path.open("a")

    def add(self, line: str) -> None:
        if self._file is None:
            self._lines.append(line)
            return
        self._file.write(f"{line}\n")
        self._file.flush()

    def flush(self) -> None:
        if self._file is None:
            text = "".join(f"{line}\n" for line in self._lines)
            write_whole(self._path, text.encode())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        else:
            self.flush()


class _Events:
    """TensorBoard events, written on disk; in an object store copied there."""

    def __init__(self, workdir: StoredPath, purge_step: int) -> None:
        self._workdir = workdir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if is_remote(workdir):
            self._temporary = tempfile.TemporaryDirectory(prefix="transformer_jax_")
        folder = self._temporary.name if self._temporary else str(workdir)
        self._writer = SummaryWriter(folder, purge_step=purge_step)

    def add(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        if self._temporary is not None:
            self._writer.flush()
            for path in Path(self._temporary.name).iterdir():
                write_whole(self._workdir / path.name, path.read_bytes())

    def close(self) -> None:
        self._writer.close()
        if self._temporary is not None:
            self.flush()
            self._temporary.cleanup()


class Reporter:
    """Writes the lines of a run and moves its progress bar.

    A run that continues from an earlier step forgets the lines of the steps it takes
    again, so that every step is told once.
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
        if not self._active:
            return
        folder = work_directory(workdir)
        self._lines = _Lines(folder / METRICS_FILE, map(json.dumps, self.history))
        self._events = _Events(folder, purge_step=start_step + 1)
        self._flushed = time.monotonic()
        self._bar = tqdm(
            total=num_steps, initial=start_step, unit="step", disable=not progress
        )

    def report(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Adds a line of numbers, `kind` being train or validation."""
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
            shown = {
                "loss": f"{values['loss']:.3f}",
                "lr": f"{values['learning_rate']:.1e}",
            }
            shown["tok/s"] = f"{values['target_tokens_per_second']:,.0f}"
            self._bar.set_postfix(shown, refresh=False)
        else:
            self._bar.write(f"step {step}: {kind} {_readable(values)}", file=sys.stderr)
        if time.monotonic() - self._flushed > _REWRITE_SECONDS:
            self.flush()

    def advance(self, step: int) -> None:
        """Moves the progress bar to `step`."""
        if self._active:
            self._bar.update(step - self._bar.n)

    def flush(self) -> None:
        """Puts the lines in the work directory, if they were not there at once.

        To be called before a checkpoint, so that a run that goes on from it has them.
        """
        if self._active:
            self._lines.flush()
            self._events.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Writes out what is buffered."""
        self._compiles.close()
        if self._active:
            self._lines.close()
            self._events.close()
            self._bar.close()


def read_metrics(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the lines of `metrics.jsonl`, none where there is no such file.

    A last line that an interruption cut short is left out.
    """
    path = work_directory(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            logger.warning("%s: left out a damaged line: %.60s", path, text)
    return lines


def _readable(values: Mapping[str, Any]) -> str:
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
