"""A measurement in a process of its own, which is ended when its time is over."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Measurement = dict[str, Any]

PREFIX = "MEASURED "
"""What a line of a script's output begins with if a measurement follows, as JSON."""


@dataclass(frozen=True)
class Run:
    """A function of a script, and its arguments."""

    script: str
    """Beside this file, without its ending."""
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    is_reference: bool = False
    """It runs on the CPU, for others to be compared with."""

    def failure(self, error: str) -> Measurement:
        """Returns what is written in place of a measurement."""
        return {"measured": self.function, **self.arguments, "error": error}


class Process:
    """A run that has been started."""

    def __init__(self, run: Run, device: str, seconds: float):
        """Starts it.

        Args:
            device: gpu or cpu, where runs take place that are no reference.
            seconds: it is ended after these.
        """
        platform = "cpu" if run.is_reference else device
        platforms = {"JAX_PLATFORMS": {"gpu": "cuda,cpu", "cpu": "cpu"}[platform]}
        self._run, self._seconds, self._is_late = run, seconds, False
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name(f"{run.script}.py")),
                run.function,
                json.dumps(run.arguments),
                platform,
            ],
            # One GPU, though the machine may have more.
            env={"CUDA_VISIBLE_DEVICES": "0"} | os.environ | platforms,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._timer = threading.Timer(seconds, self._end)
        self._timer.start()

    def _end(self) -> None:
        self._is_late = True
        self._process.kill()

    def end(self) -> None:
        """Ends it, if it has not ended."""
        self._timer.cancel()
        self._process.kill()

    def measurements(self) -> Iterator[Measurement]:
        """Yields each measurement when it is printed; last an error, if it failed."""
        kind = {"reference": True} if self._run.is_reference else {}
        with self._process as process, self._errors as errors:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith(PREFIX):
                        yield json.loads(line.removeprefix(PREFIX)) | kind
                status = process.wait()
            finally:  # Also if nobody waits for the rest any more.
                self.end()
            if self._is_late:
                yield self._run.failure(f"it took longer than {self._seconds:.0f} s")
            elif status:
                errors.seek(0)
                said = errors.read().strip()[-2_000:]
                yield self._run.failure(said or f"it ended with status {status}")
