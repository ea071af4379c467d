"""The lines of a text file by number, whatever its size."""

import os
import weakref
from pathlib import Path

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
_CHUNK_BYTES = 1 << 26


class TextLines:
    """Lines of a text file, without their ends, in random access.

    A plain file is read where it lies; a .gz file, a pipe or standard input (`-`) is
    read into memory. Each line takes 8 bytes more.

    Raises:
        InputError: the file cannot be read, or a part of it is not UTF-8; later, when
            lines are read, it has changed.
    """

    def __init__(self, path: str | Path):
        self.path = Path(expand_home(path_name("the text", path)))
        self._contents = _open_contents(self.path)
        self._starts = self._find_starts()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, start: int, stop: int) -> list[str]:
        """Returns lines start to stop - 1."""
        if start >= stop:
            return []
        text = self._slice(start, stop).decode()
        lines = text.split("\n")
        if text.endswith("\n"):
            lines.pop()
        return [strip_end(line) for line in lines] if "\r" in text else lines

    def _slice(self, start: int, stop: int) -> bytes:
        first, last = int(self._starts[start]), int(self._starts[stop])
        return self._contents.read(first, last)

    def _find_starts(self) -> np.ndarray:
        """Returns the places where lines begin, and the end of the text; int64.

        Raises:
            InputError: a line is not UTF-8.
        """
        size = self._contents.size
        mark = self._contents.read(0, min(size, len(BYTE_ORDER_MARK)))
        first = len(BYTE_ORDER_MARK) if mark == BYTE_ORDER_MARK else 0
        starts, number, rest = [np.array([first], np.int64)], 1, b""
        for begin in range(first, size, _CHUNK_BYTES):
            chunk = self._contents.read(begin, min(begin + _CHUNK_BYTES, size))
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE) + 1
            cut = int(ends[-1]) if len(ends) else 0
            if cut:
                self._check_encoding(rest + chunk[:cut], number)
                rest, number = b"", number + len(ends)
            rest += chunk[cut:]
            starts.append(begin + ends)
        self._check_encoding(rest, number)
        found = np.concatenate(starts, dtype=np.int64)
        return np.append(found, size) if found[-1] < size else found

    def _check_encoding(self, text: bytes, first_line: int) -> None:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            line = first_line + text.count(b"\n", 0, error.start)
            raise encoding_error(self.path, line, error) from None


class _InMemory:
    """The bytes of a file that can be read only once."""

    def __init__(self, contents: bytes) -> None:
        self._contents = contents
        self.size = len(contents)

    def read(self, start: int, stop: int) -> bytes:
        return self._contents[start:stop]


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


def _open_contents(path: Path) -> _InMemory | _OnDisk:
    try:
        if path == STANDARD_STREAM:
            return _InMemory(standard_input().read())
        if path.suffix != ".gz" and (path.is_file() or not path.exists()):
            return _OnDisk(path)
        with open_bytes(path) as file:
            return _InMemory(file.read())
    except READ_ERRORS as error:
        raise read_error(path, error) from error
