"""The file `metrics.jsonl` of a run: one JSON object a line."""

import json
import logging
import os
from collections.abc import Iterable
from typing import IO, Any

from transformer_jax.storage.work_directory import (
    StoredPath,
    is_remote,
    work_directory,
    write_whole,
)

METRICS_FILE = "metrics.jsonl"

logger = logging.getLogger(__name__)


def read_metrics(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the lines of `metrics.jsonl`, none where there is no such file.

    Each has `kind` and `step`. Losses are in nats a token, times in seconds. A last
    line that an interruption cut short is left out.

    Raises:
        InputError: `workdir` is not a path, or a bucket that this machine cannot reach.

    Example:
        >>> lines = tj.read_metrics(workdir)
        >>> lines[0]["kind"], lines[0]["loss"] > 0
        ('train', True)
    """
    path = work_directory(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
            lines.append({**line, "kind": line["kind"], "step": line["step"]})
        except (ValueError, TypeError, KeyError):
            logger.warning("%s: left out a damaged line: %.60s", path, text)
    return lines


class MetricsFile:
    """Writes the file: on disk each line at once, in an object store at `flush`."""

    def __init__(self, workdir: StoredPath, lines: Iterable[str]) -> None:
        """Replaces the file by these lines."""
        self._path = path = workdir / METRICS_FILE
        self._lines = list(lines)
        self._file: IO[str] | None = None
        self.flush()
        if not is_remote(path):
            self._file = path.open("a")

    def add(self, line: str) -> None:
        """Appends a line."""
        if self._file is None:
            self._lines.append(line)
            return
        self._file.write(f"{line}\n")
        self._file.flush()

    def flush(self) -> None:
        """Writes the whole file into an object store."""
        if self._file is None:
            text = "".join(f"{line}\n" for line in self._lines)
            write_whole(self._path, text.encode())

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
        else:
            self.flush()
