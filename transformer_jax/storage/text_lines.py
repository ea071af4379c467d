"""The lines of a text file by number, whatever its size."""

from pathlib import Path

import numpy as np

from transformer_jax.storage.text_encoding import (
    BYTE_ORDER_MARK,
    READ_ERRORS,
    encoding_error,
    open_bytes,
    read_error,
    strip_end,
)

_NEWLINE = ord("\n")
_CHUNK_BYTES = 1 << 26
_CHUNK_LINES = 1 << 16


class TextLines:
    """Lines of a text file, without their ends, in random access.

    A plain file is mapped into memory, a .gz file is unpacked into it. Each line takes
    8 bytes more.

    Raises:
        InputError: the file cannot be read, or a part of it is not UTF-8.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self._bytes = _load_bytes(self.path)
        self._starts = _find_starts(self._bytes)
        self._check_encoding()

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
        return self._bytes[self._starts[start] : self._starts[stop]].tobytes()

    def _check_encoding(self) -> None:
        for start in range(0, len(self), _CHUNK_LINES):
            stop = min(start + _CHUNK_LINES, len(self))
            try:
                self._slice(start, stop).decode()
            except UnicodeDecodeError as error:
                position = self._starts[start] + error.start
                line = int(np.searchsorted(self._starts, position, side="right"))
                raise encoding_error(self.path, line, error) from None


def _load_bytes(path: Path) -> np.ndarray:
    """Returns the bytes of the file, uint8, unpacked if its name ends in .gz."""
    try:
        if path.suffix == ".gz":
            with open_bytes(path) as file:
                return np.frombuffer(file.read(), np.uint8)
        if path.stat().st_size == 0:  # An empty file cannot be mapped.
            return np.empty(0, np.uint8)
        return np.memmap(path, np.uint8, mode="r")
    except READ_ERRORS as error:
        raise read_error(path, error) from error


def _find_starts(text: np.ndarray) -> np.ndarray:
    """Returns the places where lines begin, and the end of the text; int64."""
    first = len(BYTE_ORDER_MARK) if text[:3].tobytes() == BYTE_ORDER_MARK else 0
    ends = [
        np.flatnonzero(text[begin : begin + _CHUNK_BYTES] == _NEWLINE) + (begin + 1)
        for begin in range(0, len(text), _CHUNK_BYTES)
    ]
    starts = np.concatenate([[first], *ends], dtype=np.int64)
    return starts if starts[-1] == len(text) else np.append(starts, len(text))
