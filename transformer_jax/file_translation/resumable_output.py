"""An output file that grows in whole chunks, so that an interrupted job can go on.

Beside the file `OUT.partial` lies its journal `OUT.partial.json`: how many lines of the
input are done, how many bytes of the file they are, what the lines were, and the
settings. The journal is written after the bytes it speaks of are on disk; bytes it does
not speak of are cut off when the job goes on.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from transformer_jax.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Journal:
    """What a file holds, and of what."""

    settings: dict[str, Any]
    """Whatever the contents depend on but the input's lines; plain JSON values."""
    lines: int = 0
    """Lines of the input that are done."""
    input_digest: str = ""
    """Of these lines."""
    num_bytes: int = 0
    """Bytes of the file that belong to them."""


class ResumableOutput:
    """A file written in chunks; see `open_resumable`."""

    def __init__(self, path: Path, file: IO[bytes], journal: Journal) -> None:
        self.path = path
        self.journal = journal
        self._file = file

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Adds a chunk; when it returns, the chunk is on disk.

        Args:
            lines: how many of the input are done with it, from the first.
            input_digest: of these lines.
        """
        contents = text.encode()
        journal = Journal(
            settings=self.journal.settings,
            lines=lines,
            input_digest=input_digest,
            num_bytes=self.journal.num_bytes + len(contents),
        )
        with writing(self.path):
            self._file.write(contents)
            to_disk(self._file)
            _write_journal(self.path, journal)
        self.journal = journal


@contextlib.contextmanager
def open_resumable(
    path: Path, settings: Mapping[str, Any], resume: bool
) -> Iterator[ResumableOutput]:
    """Opens a file to append to, which outlives an error unless nothing is done yet.

    Args:
        resume: go on with what an interrupted job has left, if it has left anything;
            the job must have had the same settings.

    Raises:
        InputError: the file cannot be written; or there is work of an interrupted job
            that is not to be resumed, or cannot be.
    """
    given: dict[str, Any] = json.loads(json.dumps(settings))
    with writing(path):
        journal = _left_over(path, given, resume) or Journal(given)
        file = path.open("r+b" if journal.num_bytes else "wb")
        file.truncate(journal.num_bytes)
        file.seek(journal.num_bytes)
        _write_journal(path, journal)
    output = ResumableOutput(path, file, journal)
    try:
        yield output
        file.close()
    except BaseException:
        # What could not be written before cannot be now.
        with contextlib.suppress(OSError):
            file.close()
        _keep(output)
        raise


def finish(path: Path, destination: Path) -> None:
    """Gives a file that is complete its name."""
    with writing(destination):
        path.replace(destination)
    discard(path)


def discard(path: Path) -> None:
    """Deletes a file and its journal, where they are."""
    path.unlink(missing_ok=True)
    _journal_path(path).unlink(missing_ok=True)


def read_journal(path: Path) -> Journal | None:
    """Returns the journal of a file, None where there is none that can be read."""
    try:
        return Journal(**json.loads(_journal_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _left_over(path: Path, settings: dict[str, Any], resume: bool) -> Journal | None:
    """Returns the journal of what can be resumed, None where nothing is left."""
    if not path.exists():
        return None
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
            f"{path} holds {journal.lines} lines of an interrupted job: add --continue "
            "(resume=True) to go on with it, or delete it to begin anew."
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
    """Leaves what an interrupted job has done; nothing where it has done nothing."""
    if output.journal.lines == 0:
        discard(output.path)
        return
    logger.info(
        "%s keeps the %d lines that are done: --continue (resume=True) goes on.",
        output.path,
        output.journal.lines,
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes an InputError of what the system says when `path` is written."""
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
        to_disk(file)
    new.replace(_journal_path(path))


def to_disk(file: IO[Any]) -> None:
    """Returns when what has been written to a file outlives the machine."""
    file.flush()
    os.fsync(file.fileno())
