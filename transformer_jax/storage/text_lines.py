"""The lines of a text file by number, whatever its size."""

import codecs
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO

import numpy as np

from transformer_jax.errors import InputError
from transformer_jax.storage.path_names import expand_home, path_name
from transformer_jax.storage.text_encoding import (
    BYTE_ORDER_MARK,
    READ_ERRORS,
    STANDARD_STREAM,
    encoding_error,
    open_bytes,
    read_error,
    standard_input,
    strip_end,
)

_NEWLINE = ord("\n")
_CHUNK_BYTES = 1 << 22
_LINES_PER_MARK = 64
"""Only the place of every so many lines is kept; the lines between are read with it."""
_MOST_BYTES_IN_MEMORY = 1 << 26


class TextLines:
    """Lines of a text file, without their ends, in random access.

    A plain file is read where it lies. A .gz file, a pipe or standard input (`-`) is
    unpacked into memory, above 64 MiB into a temporary file, which goes with the
    process; TMPDIR says where. The places of lines take a byte for each 8 lines.

    Raises:
        InputError: the file cannot be read, or a part of it is not UTF-8; later, when
            lines are read, it has changed.
    """

    def __init__(self, path: str | Path):
        self.path = Path(expand_home(path_name("the text", path)))
        self._contents = _open_contents(self.path)
        self._marks, self._num_lines = self._find_lines()

    def __len__(self) -> int:
        return self._num_lines

    def read(self, start: int, stop: int) -> list[str]:
        """Returns lines start to stop - 1."""
        if start >= stop:
            return []
        first, last = start // _LINES_PER_MARK, -(-stop // _LINES_PER_MARK)
        begin, end = int(self._marks[first]), int(self._marks[last])
        text = self._contents.read(begin, end).decode()
        before = first * _LINES_PER_MARK
        lines = text.split("\n")[start - before : stop - before]
        return [strip_end(line) for line in lines] if "\r" in text else lines

    def _find_lines(self) -> tuple[np.ndarray, int]:
        """Returns the places of every 64th line and of the end, and how many lines.

        Raises:
            InputError: a line is not UTF-8.
        """
        size = self._contents.size
        mark = self._contents.read(0, min(size, len(BYTE_ORDER_MARK)))
        first = len(BYTE_ORDER_MARK) if mark == BYTE_ORDER_MARK else 0
        marks, number, last_end = [np.array([first], np.int64)], 0, first
        decoder = codecs.getincrementaldecoder("utf-8")()
        for begin in range(first, size, _CHUNK_BYTES):
            stop = min(begin + _CHUNK_BYTES, size)
            chunk = self._contents.read(begin, stop)
            self._check_encoding(decoder, chunk, number + 1, final=stop == size)
            newlines = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE)
            ends = begin + 1 + newlines
            # Those that the lines _LINES_PER_MARK, 2 * _LINES_PER_MARK, ... begin at;
            # a copy, as a view would keep all of them in memory.
            marked = ends[-(number + 1) % _LINES_PER_MARK :: _LINES_PER_MARK]
            marks.append(marked.copy())
            number += len(ends)
            last_end = int(ends[-1]) if len(ends) else last_end
        number += last_end < size
        found = np.concatenate(marks)
        # The text ends with its last line, also where that is a 64th one.
        return np.append(found[: -(-number // _LINES_PER_MARK)], size), number

    def _check_encoding(
        self,
        decoder: codecs.IncrementalDecoder,
        chunk: bytes,
        first_line: int,
        *,
        final: bool,
    ) -> None:
        try:
            decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # It may hold the first bytes of a character of the chunk before.
            line = first_line + error.object.count(b"\n", 0, error.start)
            raise encoding_error(self.path, line, error) from None


class _Copied:
    """The bytes of a file that can be read only from its beginning to its end."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._copy = tempfile.SpooledTemporaryFile(_MOST_BYTES_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._copy.close)
        self.size = 0
        while chunk := file.read(_CHUNK_BYTES):
            try:
                self._copy.write(chunk)
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be unpacked into a temporary file "
                    f"({error.strerror or error}): make room, or set TMPDIR to a "
                    "folder that has it."
                ) from None
            self.size += len(chunk)

    def read(self, start: int, stop: int) -> bytes:
        self._copy.seek(start)
        return self._copy.read(stop - start)


class _OnDisk:
    """The bytes of a file as it was when it was opened.

    It is not mapped into memory: where a mapped file is cut short, the process dies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self.size, self._changed = self._state()

    def read(self, start: int, stop: int) -> bytes:
        try:
            parts = []
            while start < stop:
                part = os.pread(self._descriptor, stop - start, start)
                if not part:
                    break
                parts.append(part)
                start += len(part)
        except OSError as error:
            raise read_error(self._path, error) from error
        if start < stop or self._state() != (self.size, self._changed):
            raise InputError(
                f"{self._path} has changed while it was in use: begin again with the "
                "text as it is now."
            )
        return b"".join(parts)

    def _state(self) -> tuple[int, int]:
        stat = os.fstat(self._descriptor)
        return stat.st_size, stat.st_mtime_ns


def _open_contents(path: Path) -> _Copied | _OnDisk:
    try:
        if path == STANDARD_STREAM:
            return _Copied(path, standard_input())
        if path.suffix != ".gz" and (path.is_file() or not path.exists()):
            return _OnDisk(path)
        with open_bytes(path) as file:
            return _Copied(path, file)
    except READ_ERRORS as error:
        raise read_error(path, error) from error
