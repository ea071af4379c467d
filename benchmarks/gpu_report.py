"""What a stage has measured: a JSON file, with which a later call goes on."""

import hashlib
import json
from pathlib import Path
from typing import Any

from gpu_process import Measurement

ROOT = Path(__file__).resolve().parents[1]

# A later call goes on only where these are what they were.
_SAME = ("stage", "tiny", "multi30k", "hardware", "versions", "source")

# The same in all measurements of a stage, so only in its JSON.
_NOT_PRINTED = {
    "beam_size", "compile_cached", "compiles_while_measured", "data",
    "device", "measured", "moved_bytes", "multi30k", "num_devices", "num_sentences",
    "num_steps", "peak_memory_source", "peak_source", "peak_tflops_per_second", "run",
    "tiny",
}  # fmt: skip


class Report:
    """The contents of a stage's file, which is whole at any time."""

    def __init__(self, path: Path, header: dict[str, Any], again: bool) -> None:
        """Goes on with the file, or begins another one.

        Args:
            header: what all measurements of the file have in common, and this call.
            again: whether everything is measured anew. Then, and if the file is of
                something else, it stays under the time it was written.
        """
        self._path = path
        self.values: dict[str, Any] = {
            **header,
            "seconds": 0.0,
            "finished": [],
            "measurements": [],
            "errors": [],
            "not_started": [],
        }
        earlier = None if again else _read(path)
        if earlier is not None and _identity(earlier) == _identity(header):
            # What is compared is compared again, and what failed is tried again.
            kept = [
                each
                for each in earlier["measurements"]
                if each.get("run") in earlier["finished"]
            ]
            self.values["measurements"] = kept
            self.values["finished"] = sorted({each["run"] for each in kept})
        elif path.exists():
            path.replace(path.with_suffix(f".{path.stat().st_mtime_ns}.json"))

    @property
    def stage(self) -> str:
        """What it is of."""
        stage: str = self.values["stage"]
        return stage

    def has(self, run: int) -> bool:
        """Returns whether a run has measured all it measures."""
        return run in self.values["finished"]

    def finish(self, run: int) -> None:
        """Notes that a run has measured all it measures."""
        self.values["finished"].append(run)
        self._write()

    def add(self, kind: str, measurement: Measurement, seconds: float) -> None:
        """Adds to `measurements`, `errors` or `not_started`, and prints it.

        Args:
            seconds: since this call has begun the stage.
        """
        self.values[kind].append(measurement)
        self.values["seconds"] = round(seconds, 1)
        self._write()
        print(f"{self.values['stage']}: {short(measurement)}", flush=True)

    def _write(self) -> None:
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(self.values, indent=2) + "\n")
        beside.replace(self._path)


def source_digest() -> str:
    """Returns a digest of the source that measures and is measured."""
    files = [*ROOT.glob("transformer_jax/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, Any] | None:
    """Returns a report that an earlier call has written; None if there is none."""
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(read, dict) or not isinstance(read.get("hardware"), dict):
        return None
    lists = [read.get(name) for name in ("finished", "measurements")]
    if not all(isinstance(each, list) for each in lists):
        return None
    is_whole = all(isinstance(each, dict) for each in read["measurements"])
    return read if is_whole else None


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    found = {name: values.get(name) for name in _SAME}
    # The memory changes with what else is on the chip.
    return found | {"hardware": values["hardware"] | {"jax_memory_bytes": None}}


def short(values: dict[str, Any]) -> str:
    """Returns the names and numbers of a measurement on one line."""
    words = []
    for name, value in values.items():
        if isinstance(value, list) and all(isinstance(each, int) for each in value):
            value = "x".join(map(str, value))
        elif name == "error":
            value = last_line(value)
        elif isinstance(value, float):
            value = f"{value:.4g}"
        if name not in _NOT_PRINTED and not isinstance(value, dict | list | None):
            words.append(f"{name}={value}")
    return " ".join([values.get("measured", ""), *words]).strip()


def last_line(error: str) -> str:
    """Returns the line of a traceback that says what is wrong."""
    lines = error.strip().splitlines()
    named = [line for line in lines if line.partition(":")[0].endswith("Error")]
    return (named or lines)[-1][:300]
