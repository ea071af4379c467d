"""Files of a run with one JSON object a line, as `metrics.jsonl`."""

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from transformer_jax.checkpoints.setting_aside import SET_ASIDE
from transformer_jax.storage.json_values import finite_or_none, parse_json
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
    line that an interruption cut short is left out; of lines of the same kind and step
    the last is taken.

    Raises:
        InputError: `workdir` is not a path, or a bucket that this machine cannot reach.

    Example:
        >>> lines = tj.read_metrics(workdir)
        >>> lines[0]["kind"], lines[0]["loss"] > 0
        ('train', True)
    """
    path = work_directory(workdir) / METRICS_FILE
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    for line in read_lines(path):
        if isinstance(line.get("kind"), str) and isinstance(line.get("step"), int):
            lines[line["kind"], line["step"]] = line
        else:
            logger.warning("%s: left out a damaged line: %.60s", path, line)
    return list(lines.values())


def read_lines(path: StoredPath) -> list[dict[str, Any]]:
    """Returns the JSON objects in a file, one a line; damaged lines are left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_bytes().splitlines():
        try:
            line = parse_json(text)
            lines.append({**line})
        except (ValueError, TypeError):
            shown = text[:60].decode(errors="replace")
            logger.warning("%s: left out a damaged line: %s", path, shown)
    return lines


def set_lines_aside(workdir: StoredPath, step: int) -> None:
    """Keeps the lines after a step that the run goes back to, where none reads them."""
    later = [line for line in read_metrics(workdir) if line["step"] > step]
    if later:
        path = workdir / SET_ASIDE / METRICS_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = map(to_json, [*read_lines(path), *later])
        write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def to_json(values: Mapping[str, Any]) -> str:
    """Returns a line of JSON; what is no finite number becomes null."""
    return json.dumps(finite_or_none(values), allow_nan=False)


class LinesFile:
    """Writes such a file: on disk each line at once, in an object store at `flush`.

    Lines that cannot be written, as on a full disk, are kept and tried again with the
    next one: no line is ever there in part.
    """

    def __init__(self, path: StoredPath, lines: Iterable[str]) -> None:
        """Replaces the file by these lines."""
        self._path = path
        self._lines = list(lines)
        self._file: IO[bytes] | None = None
        self._pending: list[str] = []
        self._has_failed = False
        self.flush()
        if not is_remote(path):
            self._file = Path(path).open("r+b", buffering=0)  # noqa: SIM115
            self._size = self._file.seek(0, os.SEEK_END)

    def add(self, line: str) -> None:
        """Appends a line."""
        if self._file is None:
            self._lines.append(line)
            return
        self._pending.append(line)
        self._write(self._file)

    def _write(self, file: IO[bytes]) -> None:
        contents = "".join(f"{line}\n" for line in self._pending).encode()
        try:
            if file.write(contents) < len(contents):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += len(contents)
            self._pending, self._has_failed = [], False
        except OSError as error:
            with contextlib.suppress(OSError):
                file.truncate(self._size)
                file.seek(self._size)
            if not self._has_failed:
                logger.warning(
                    "%s cannot be written (%s): its lines are kept in memory",
                    self._path,
                    error.strerror or error,
                )
            self._has_failed = True

    def flush(self) -> None:
        """Writes the whole file into an object store."""
        if self._file is None:
            text = "".join(f"{line}\n" for line in self._lines)
            write_whole(self._path, text.encode())

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._write(self._file)
            self._file.close()
        else:
            self.flush()
