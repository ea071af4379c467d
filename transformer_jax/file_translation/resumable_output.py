"""An output file written in whole chunks, which an interrupted job can resume.

The file `OUT.partial` has a journal, `OUT.partial.json`: the number of input lines that
are done, their digest, the number of output bytes, and the settings. The journal is
written after its bytes are on disk. Bytes beyond its number are cut off when the job
resumes.
"""

import contextlib
import gzip
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TypeAlias

from transformer_jax.errors import InputError
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.locked_files import lock_file
from transformer_jax.storage.outputs import (
    explain_write_errors,
    flush_to_disk,
    keep_mode,
)

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

    def __post_init__(self) -> None:
        """Raises ValueError where a damaged file has something else."""
        kinds = (dict, int, str, int)
        fits = map(isinstance, vars(self).values(), kinds)
        if not all(fits) or min(self.lines, self.num_bytes) < 0:
            raise ValueError("not a journal")


class ResumableOutput:
    """A file written in chunks; see `open_resumable`."""

    def __init__(
        self, path: Path, file: IO[bytes], journal: Journal, compressed: bool
    ) -> None:
        self.path = path
        self.journal = journal
        self._file = file
        self._compressed = compressed

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Writes a chunk, and returns when it is on disk.

        Args:
            lines: number of input lines that are done, this chunk included.
            input_digest: digest of these lines.
        """
        contents = text.encode()
        if self._compressed:  # A .gz file may have any number of members.
            contents = gzip.compress(contents, mtime=0)
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
    path: Path,
    settings: Settings,
    resume: bool,
    *,
    destination: Path | None = None,
    compressed: bool = False,
) -> Iterator[ResumableOutput]:
    """Opens a file to append chunks to. After an error the file is kept.

    A file without any chunk is deleted after an error. A complete one becomes the
    destination, if there is one, while it still belongs to this process.

    Args:
        resume: continue the file of an interrupted job, if there is one. The job must
            have had the same settings. The finished file keeps its journal.
        destination: its name when it is complete.
        compressed: whether the text is written as .gz.

    Raises:
        InputError: the file cannot be written, or another process is writing it; or an
            interrupted job has left a file, and `resume` is False or the file does not
            fit.
    """
    with contextlib.ExitStack() as stack:
        with explain_write_errors(path):
            file = stack.enter_context(lock_file(path, os.fspath(destination or path)))
            found = _read_resumable(path, settings, resume) or Journal(settings)
            journal = replace(found, settings=settings)
            if destination is not None:
                keep_mode(path, destination)
            file.truncate(journal.num_bytes)
            _write_journal(path, journal)
        output = ResumableOutput(path, file, journal, compressed)
        begun = journal.lines
        try:
            yield output
            if destination is not None:
                with explain_write_errors(destination):
                    finish(output, destination, keep_journal=resume)
        except BaseException:
            # A full disk, say, has raised already; closing raises the same again.
            with contextlib.suppress(OSError):
                # Whoever resumes a job in vain knows how.
                _keep(output, tell=not resume or output.journal.lines > begun)
                file.close()
            raise


def finish(output: ResumableOutput, destination: Path, *, keep_journal: bool) -> None:
    """Renames a complete file to its destination.

    Args:
        keep_journal: whether a later job is told what the file was made of, by
            `complete_path`.
    """
    complete_path(destination).unlink(missing_ok=True)
    output.path.replace(destination)
    if keep_journal:
        _journal_path(output.path).replace(complete_path(destination))
    discard(output.path)


def complete_path(destination: Path) -> Path:
    """Returns the path of the journal of a finished output."""
    return destination.with_name(f"{destination.name}.complete.json")


def discard(path: Path) -> None:
    """Deletes a file and its journal, if they exist."""
    path.unlink(missing_ok=True)
    _journal_path(path).unlink(missing_ok=True)
    _new_journal_path(path).unlink(missing_ok=True)


def read_journal(path: Path) -> Journal | None:
    """Returns the journal of a file, or None if there is no readable one."""
    return _parse_journal(_journal_path(path))


def read_complete(destination: Path) -> Journal | None:
    """Returns the journal of a finished output, None if there is none that fits it."""
    journal = _parse_journal(complete_path(destination))
    if journal is None or destination.stat().st_size != journal.num_bytes:
        return None
    return journal


def write_complete(destination: Path, journal: Journal) -> None:
    """Says of a finished output what it was made of."""
    path = complete_path(destination)
    path.write_text(json.dumps(asdict(journal)), encoding="utf-8")


def _parse_journal(path: Path) -> Journal | None:
    try:
        return Journal(**parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _read_resumable(path: Path, settings: Settings, resume: bool) -> Journal | None:
    """Returns the journal of the file to resume, or None if no work is left.

    Raises:
        InputError: as `open_resumable`.
    """
    journal = read_journal(path)
    size = path.stat().st_size
    if size == 0 or (journal is not None and journal.lines == 0):
        return None
    if journal is None or size < journal.num_bytes:
        raise InputError(
            f"{path} is left of an interrupted job, and its journal is missing or does "
            "not fit it: delete it to begin anew."
        )
    if not resume:
        raise InputError(
            f"{path} holds {journal.lines} lines of an interrupted job: add "
            "resume=True to go on with it, or delete it to begin anew."
        )
    check_settings(path, journal, settings, "was begun")
    return journal


def check_settings(path: Path, journal: Journal, settings: Settings, was: str) -> None:
    """Checks that a file was made with the same settings.

    Raises:
        InputError: it was not. The message names the first that differs.
    """
    for name in {**journal.settings, **settings}:
        then, now = journal.settings.get(name), settings.get(name)
        if name == "on_error" and then != "skip":
            continue  # Lines that are done had no error: they are the same.
        if then != now:
            then, now = ("null" if each is None else each for each in (then, now))
            raise InputError(
                f"{path} {was} with {name}={then}, not {now}: go on with the same, "
                "or delete it to begin anew."
            )


def _keep(output: ResumableOutput, *, tell: bool) -> None:
    """Keeps the file of an interrupted job, unless no line is done."""
    if output.journal.lines == 0:
        discard(output.path)
        return
    if not tell:
        return
    logger.info(
        "%s keeps the %d lines that are done: with --continue (resume=True) the same "
        "job goes on.",
        output.path,
        output.journal.lines,
    )


def _journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _new_journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".json.new")


def _write_journal(path: Path, journal: Journal) -> None:
    new = _new_journal_path(path)
    with new.open("w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        flush_to_disk(file)
    new.replace(_journal_path(path))
