"""An output file written in whole chunks, which an interrupted job can resume.

The file `OUT.partial` has a journal, `OUT.partial.json`: the number of input lines that
are done, their digest, the number of output bytes, and the settings. The journal is
written after its bytes are on disk. Bytes beyond its number are cut off when the job
resumes.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypeAlias

from transformer_jax.errors import InputError

logger = logging.getLogger(__name__)

Settings: TypeAlias = dict[str, str | int | float | bool | None]
"""Names and JSON values of the settings of a job."""


@dataclass(frozen=True)
class Journal:
    """The contents of `OUT.partial.json`."""

    settings: Settings
    """Everything that the output depends on, except the lines of the input."""
    lines: int = 0
    """Number of input lines that are done."""
    input_digest: str = ""
    """Digest of these lines."""
    num_bytes: int = 0
    """Output bytes of these lines."""


class ResumableOutput:
    """A file written in chunks; see `open_resumable`."""

    def __init__(self, path: Path, file: IO[bytes], journal: Journal) -> None:
        self.path = path
        self.journal = journal
        self._file = file

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Writes a chunk, and returns when it is on disk.

        Args:
            lines: number of input lines that are done, this chunk included.
            input_digest: digest of these lines.
        """
        contents = text.encode()
        journal = Journal(
            settings=self.journal.settings,
            lines=lines,
            input_digest=input_digest,
            num_bytes=self.journal.num_bytes + len(contents),
        )
        with explain_write_errors(self.path):
            self._file.write(contents)
            flush_to_disk(self._file)
            _write_journal(self.path, journal)
        self.journal = journal


@contextlib.contextmanager
def open_resumable(
    path: Path, settings: Settings, resume: bool
) -> Iterator[ResumableOutput]:
    """Opens a file to append chunks to. After an error the file is kept.

    A file without any chunk is deleted after an error.

    Args:
        resume: continue the file of an interrupted job, if there is one. The job must
            have had the same settings.

    Raises:
        InputError: the file cannot be written; or an interrupted job has left a file,
            and `resume` is False or the file does not fit.
    """
    with explain_write_errors(path):
        is_new = not path.exists()
        file = path.open("ab")
        try:
            _lock(file, path)
            found = None if is_new else _read_resumable(path, settings, resume)
        except InputError:
            file.close()
            raise
        journal = found or Journal(settings)
        file.truncate(journal.num_bytes)
        _write_journal(path, journal)
    output = ResumableOutput(path, file, journal)
    try:
        yield output
        file.close()
    except BaseException:
        # A full disk, say, has raised already; closing raises the same again.
        with contextlib.suppress(OSError):
            file.close()
        _keep(output)
        raise


def _lock(file: IO[bytes], path: Path) -> None:
    """Keeps other processes from writing the file until it is closed.

    Raises:
        InputError: another process is writing it.
    """
    try:
        import fcntl
    except ImportError:  # On Windows.
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path} is being written by another job: wait for its end, or name "
            "another output."
        ) from None
    except OSError:  # This file system has no locks.
        return


def finish(path: Path, destination: Path) -> None:
    """Renames a complete file to its destination, and deletes its journal."""
    with explain_write_errors(destination):
        path.replace(destination)
    discard(path)


def discard(path: Path) -> None:
    """Deletes a file and its journal, if they exist."""
    path.unlink(missing_ok=True)
    _journal_path(path).unlink(missing_ok=True)


def read_journal(path: Path) -> Journal | None:
    """Returns the journal of a file, or None if there is no readable one."""
    try:
        return Journal(**json.loads(_journal_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _read_resumable(path: Path, settings: Settings, resume: bool) -> Journal | None:
    """Returns the journal of the file to resume, or None if no work is left.

    Raises:
        InputError: as `open_resumable`.
    """
    journal = read_journal(path)
    if journal is not None and journal.lines == 0:
        return None
    if journal is None or path.stat().st_size < journal.num_bytes:
        raise InputError(
            f"{path} is left of an interrupted job, and its journal is missing or does "
            "not fit it: delete it to begin anew."
        )
    if not resume:
        raise InputError(
            f"{path} holds {journal.lines} lines of an interrupted job: add "
            "resume=True to go on with it, or delete it to begin anew."
        )
    for name in {**journal.settings, **settings}:
        then, now = journal.settings.get(name), settings.get(name)
        if then != now:
            raise InputError(
                f"{path} was begun with {name}={then}, not {now}: go on with the same, "
                "or delete it to begin anew."
            )
    return journal


def _keep(output: ResumableOutput) -> None:
    """Keeps the file of an interrupted job, unless no line is done."""
    if output.journal.lines == 0:
        discard(output.path)
        return
    logger.info(
        "%s keeps the %d lines that are done: the job can be continued.",
        output.path,
        output.journal.lines,
    )


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turns an OSError while `path` is written into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error})."
        ) from None


def _journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _write_journal(path: Path, journal: Journal) -> None:
    new = path.with_name(path.name + ".json.new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        flush_to_disk(file)
    new.replace(_journal_path(path))


def flush_to_disk(file: IO[bytes] | IO[str]) -> None:
    """Returns when everything written to a file is on disk."""
    file.flush()
    os.fsync(file.fileno())
