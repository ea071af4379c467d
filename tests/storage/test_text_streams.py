"""Only a newline ends a line; what cannot be read is named."""

import gzip
import io
import sys

import pytest

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import (
    count_lines,
    open_lines,
)

TEXT = "a\r\n\nb\u2028\x85\x0c\rc\n \x00\nlast"
LINES = ["a", "", "b\u2028\x85\x0c\rc", " \x00", "last"]


def read(path):
    with open_lines(path) as lines:
        return list(lines)


def test_lines_of_a_file_plain_or_packed(tmp_path, monkeypatch):
    plain, packed = tmp_path / "in", tmp_path / "in.gz"
    plain.write_bytes(TEXT.encode())
    with gzip.open(packed, "wb") as file:
        file.write(TEXT.encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert read(plain) == read(packed) == read(None) == LINES
    assert count_lines(plain) == count_lines(packed) == 5


def test_a_byte_order_mark_is_not_text(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")
    assert read(path) == ["a", "\ufeffb"]
    path.write_bytes(b"\xef\xbb\xbf")  # A file of no lines, as without it.
    assert read(path) == []
    assert count_lines(path) == 0


def test_what_can_be_read_once_is_not_counted(tmp_path):
    assert count_lines(tmp_path.parent) is None
    empty = tmp_path / "in"
    empty.touch()
    assert count_lines(empty) == 0


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="nope: no such file"):
        count_lines(tmp_path / "nope")
    bad = tmp_path / "bad"
    bad.write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(InputError, match="bad, line 3: not UTF-8"):
        count_lines(bad)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"abc\n" * 10_000)[:-20])
    with pytest.raises(
        InputError, match=r"cut\.gz: not a whole gzip file after line \d+"
    ):
        read(cut)
    no_gzip = tmp_path / "no.gz"
    no_gzip.write_bytes(b"abc\n")
    with pytest.raises(InputError, match=r"no\.gz: not a whole gzip file after line 0"):
        read(no_gzip)
