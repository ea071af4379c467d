"""What a run tells: metrics.jsonl, TensorBoard, a progress bar. Primary host only."""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from tensorboardX import SummaryWriter
from tqdm.auto import tqdm

from transformer_jax.distributed import is_primary

METRICS_FILE = "metrics.jsonl"

logger = logging.getLogger(__name__)


class CompileCounter:
    """Counts the programs XLA compiles in this process while it is open."""

    _EVENT = "/jax/core/compile/backend_compile_duration"

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        self.count += event == self._EVENT

    def close(self) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)


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
        path = Path(workdir) / METRICS_FILE
        _write_whole(path, "".join(json.dumps(line) + "\n" for line in self.history))
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._events = SummaryWriter(str(workdir), purge_step=start_step + 1)
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
        self._file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                self._events.add_scalar(f"{kind}/{name}", value, step)
        if kind == "train":
            shown = {
                "loss": f"{values['loss']:.3f}",
                "lr": f"{values['learning_rate']:.1e}",
            }
            shown["tok/s"] = f"{values['target_tokens_per_second']:,.0f}"
            self._bar.set_postfix(shown, refresh=False)
        else:
            self._bar.write(f"step {step}: {kind} {_readable(values)}", file=sys.stderr)

    def advance(self, step: int) -> None:
        """Moves the progress bar to `step`."""
        if self._active:
            self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Writes out what is buffered."""
        self._compiles.close()
        if self._active:
            self._file.close()
            self._events.close()
            self._bar.close()


def read_metrics(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the lines of `metrics.jsonl`, none where there is no such file.

    A last line that an interruption cut short is left out.
    """
    path = Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            logger.warning("%s: left out a damaged line: %.60s", path, text)
    return lines


def _write_whole(path: Path, text: str) -> None:
    """Replaces a file at once: an interruption leaves the old one or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _readable(values: Mapping[str, Any]) -> str:
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
