r"""Rules for reading text: encoding, ends of lines, errors.

Text is UTF-8, plain or .gz, with or without a byte order mark. Only \n and \r\n end a
line; U+2028, form feeds and so on are text. Both readers follow these rules:
`text_lines` (lines by number) and `text_streams` (one line after the other).
"""

import gzip
import sys
import zlib
from pathlib import Path
from typing import IO

from transformer_jax.errors import InputError
from transformer_jax.storage.path_names import path_name

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

STANDARD_STREAM = Path("-")
"""The name of standard input or output; a file of that name is `./-`."""

READ_ERRORS = (OSError, EOFError, zlib.error)
"""Exceptions of reading an open file, which may be a damaged .gz file."""


def standard_input() -> IO[bytes]:
    """Returns the bytes of standard input.

    Raises:
        InputError: it is closed.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed: name a file.")
    return sys.stdin.buffer


def check_read_once(*paths: Path | None) -> None:
    """Checks that standard input (`-`) is not read for more than one of the inputs.

    Raises:
        InputError: it is.
    """
    if paths.count(STANDARD_STREAM) > 1:
        raise InputError("standard input (-) can be read once: name files besides it.")


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reading, unpacked if its name ends in .gz.

    Raises:
        InputError: the file does not exist, or cannot be opened.
    """
    path_name("the text", path)
    try:
        if path.suffix == ".gz":
            return gzip.open(path)  # type: ignore[return-value]  # a stream of bytes too
        return path.open("rb")
    except OSError as error:
        raise read_error(path, error) from None


def read_error(
    name: str | Path, error: Exception, line: int | None = None
) -> InputError:
    """Returns the error for a file that cannot be read.

    Args:
        line: the last line that was read, if lines are read one by one.
    """
    after = "" if line is None else f" after line {line}"
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file; expected a text file.")
    if isinstance(error, gzip.BadGzipFile | EOFError | zlib.error):
        return InputError(
            f"{name}: not a whole gzip file{after} ({error}); "
            "fetch or compress it anew."
        )
    reason = getattr(error, "strerror", None) or error
    return InputError(
        f"{name}: cannot be read{after} ({reason}); expected a text file."
    )


def encoding_error(
    name: str | Path, line: int, error: UnicodeDecodeError
) -> InputError:
    """Returns the error for a line, counted from 1, that is not UTF-8."""
    byte = error.object[error.start]
    return InputError(
        f"{name}, line {line}: not UTF-8 (byte 0x{byte:02x}, {error.reason}); convert "
        "the file to UTF-8."
    )


def strip_end(line: str) -> str:
    """Returns a line without its end."""
    return line.removesuffix("\n").removesuffix("\r")
