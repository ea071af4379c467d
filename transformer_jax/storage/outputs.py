"""Where a command writes: a file, or what a name leads to that is none.

A file appears, or changes, when it is complete; it keeps its mode, and a link to it
stays a link. What is no file, as a device, a pipe or an open stream of this process, is
written to as it is. A name that ends with .gz gets compressed text.
"""

import contextlib
import errno
import gzip
import io
import logging
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from transformer_jax.errors import InputError
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.locked_files import lock_file
from transformer_jax.storage.path_names import expand_home
from transformer_jax.storage.text_encoding import STANDARD_STREAM

logger = logging.getLogger(__name__)


# Where /dev/stdout and its like lead.
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_MOST_LINKS = 40


@dataclass(frozen=True)
class Output:
    """What the name of an output leads to."""

    name: str
    """As the user gave it, for messages."""
    file: Path | None
    """The file that is made or replaced, all links followed. None = there is none."""
    descriptor: int | None = None
    """An open stream of this process. None = it is none."""
    is_standard: bool = False
    """Whether it is standard output, not named otherwise."""

    @property
    def is_compressed(self) -> bool:
        """Whether the text is written as .gz."""
        return self.name.endswith(".gz")


def find_output(path: Path | None, *inputs: Path | None) -> Output:
    """Returns what a name leads to; None and `-` are standard output.

    Args:
        inputs: what is read for the output, which must not replace it.

    Raises:
        InputError: nothing can be written there, it is an input, or among the
            checkpoints of a run.
    """
    if path is None or path == STANDARD_STREAM:
        return Output("standard output", None, is_standard=True)
    name = expand_home(path)
    if bucket := re.match(r"(gs|s3):/+", name):  # A path has lost a slash.
        raise InputError(
            f"{bucket[1]}://{name[bucket.end() :]}: text is written to files: name one "
            "on a disk, and copy it."
        )
    with explain_write_errors(name):
        end = _follow(Path(name))
        if isinstance(end, int):
            os.fstat(end)
            return Output(name, None, end)
        check_outside_parts(end, "output")
        if end.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not end.exists():
            if not end.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, f"{end.parent} is not there")
            return Output(name, end)
        if not os.access(end, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not end.is_file():
            return Output(name, None)
    for path in inputs:
        if path is not None and path.exists() and path.samefile(end):
            raise InputError(
                f"{name} is an input too, and would be replaced: name another output."
            )
    return Output(name, end)


def _follow(path: Path) -> Path | int:
    """Returns the file at the end of all links, or the number of an open stream."""
    for _ in range(_MOST_LINKS):
        name = os.path.abspath(path)
        if found := _DESCRIPTOR.fullmatch(name):
            return int(found[1])
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


@contextlib.contextmanager
def open_output(found: Output) -> Iterator[IO[str]]:
    """Opens an output for text. A file appears, or changes, after the block.

    While it is written, `NAME.writing` belongs to this process; what a process that has
    died left of it is written anew. After an error nothing is changed.

    Raises:
        InputError: it cannot be written, or another process is writing it.
    """
    if found.file is not None:
        with _open_file(found, found.file) as text:
            yield text
        return
    with explain_write_errors(found.name, beside_work=True):
        if found.is_standard:
            sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
            yield sys.stdout
            sys.stdout.flush()
            return
        opened = found.name if found.descriptor is None else found.descriptor
        if found.descriptor in (1, 2):
            stream = (sys.stdout, sys.stderr)[found.descriptor - 1]
            stream.flush()  # What was printed before comes before.
            with contextlib.suppress(OSError):  # In a notebook it has no number.
                opened = stream.fileno()
        with (
            open(opened, "wb", closefd=found.descriptor is None) as file,
            _text(file, found.is_compressed) as text,
        ):
            yield text


@contextlib.contextmanager
def _open_file(output: Output, path: Path) -> Iterator[IO[str]]:
    warn_of_replacement(path)
    partial = path.with_name(f"{path.name}.writing")
    with contextlib.ExitStack() as stack:
        with explain_write_errors(output.name):
            file = stack.enter_context(lock_file(partial, output.name))
        try:
            with explain_write_errors(output.name):
                file.truncate(0)
                keep_mode(partial, path)
            with (
                explain_write_errors(output.name, beside_work=True),
                _text(file, output.is_compressed) as text,
            ):
                yield text
            with explain_write_errors(output.name):
                flush_to_disk(file)
                partial.replace(path)
        except BaseException:
            # A full disk has raised already; closing raises the same again.
            with contextlib.suppress(OSError):
                partial.unlink()
            with contextlib.suppress(OSError):
                file.close()
            raise


@contextlib.contextmanager
def _text(file: IO[bytes], compressed: bool) -> Iterator[IO[str]]:
    """Yields text that goes into a file of bytes, which stays open."""
    with contextlib.ExitStack() as stack:
        stream: Any = file
        if compressed:
            # Without name and time: the same text gives the same bytes.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            stream = stack.enter_context(packed)
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
        yield text
        text.detach()


def warn_of_replacement(path: Path) -> None:
    """Says that a file which is not empty will be replaced."""
    if path.exists() and path.stat().st_size:
        logger.warning("%s is there already, and will be replaced", path)


def keep_mode(new: Path, existing: Path) -> None:
    """Gives a file that will replace another its mode, and its owner if allowed."""
    try:
        was = existing.stat()
    except FileNotFoundError:
        return
    now = new.stat()
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        with contextlib.suppress(OSError):
            os.chown(new, was.st_uid, was.st_gid)
    new.chmod(stat.S_IMODE(was.st_mode))


@contextlib.contextmanager
def explain_write_errors(
    name: str | os.PathLike[str], *, beside_work: bool = False
) -> Iterator[None]:
    """Turns an OSError while `name` is written into an InputError.

    Args:
        beside_work: the block does other work too, whose errors name another file;
            those of writing into an open file name none.
    """
    try:
        yield
    except BrokenPipeError:  # The reader has all it wants.
        raise
    except OSError as error:
        if beside_work and error.filename not in (None, name):
            raise
        raise InputError(
            f"{os.fspath(name)}: cannot be written ({error.strerror or error})."
        ) from None


def flush_to_disk(file: IO[bytes] | IO[str]) -> None:
    """Returns when everything written to a file is on disk."""
    file.flush()
    os.fsync(file.fileno())
