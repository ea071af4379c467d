"""Bytes of any kind are read as the lines that Python finds, or refused by number."""

import contextlib
import gzip

from any_text import odd_bytes, outcome
from hypothesis import given
from hypothesis import strategies as st

from transformer_jax.errors import InputError
from transformer_jax.file_translation.input_rows import open_rows
from transformer_jax.storage import text_lines
from transformer_jax.storage.text_encoding import BYTE_ORDER_MARK
from transformer_jax.storage.text_lines import TextLines
from transformer_jax.storage.text_streams import count_lines, open_lines


def lines_by_python(content, errors="strict"):
    lines = content.removeprefix(BYTE_ORDER_MARK).decode("utf-8", errors).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def by_number(path):
    lines = TextLines(path)
    return lines.read(0, len(lines))


def as_stream(path):
    with open_lines(path) as lines:
        return list(lines)


def read_as_expected(read, path, content):
    """Checks one reader; both know lines and their numbers."""
    try:
        expected = lines_by_python(content)
    except UnicodeDecodeError as error:
        number = 1 + error.object.count(b"\n", 0, error.start)
        expected = f"{path}, line {number}: not UTF-8 (byte 0x"
    found = outcome(read, path)
    if isinstance(expected, str):
        assert isinstance(found, InputError)
        assert str(found).startswith(expected)
    else:
        assert found == expected


@given(odd_bytes, st.integers(1, 7), st.booleans())
def test_any_bytes_are_lines_or_refused(tmp_path, content, chunk_bytes, packed):
    path = tmp_path / ("in.gz" if packed else "in")
    path.write_bytes(gzip.compress(content) if packed else content)
    read_as_expected(as_stream, path, content)
    whole, text_lines._CHUNK_BYTES = text_lines._CHUNK_BYTES, chunk_bytes
    try:
        read_as_expected(by_number, path, content)
    finally:
        text_lines._CHUNK_BYTES = whole


@given(odd_bytes, st.data())
def test_any_lines_by_number_are_those_of_the_whole(tmp_path, content, data):
    path = tmp_path / "in"
    path.write_bytes(content.decode(errors="replace").encode())
    lines, whole = TextLines(path), as_stream(path)
    assert len(lines) == len(whole) == count_lines(path)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert lines.read(start, stop) == whole[start:stop]


@given(odd_bytes)
def test_what_is_no_text_is_a_problem_of_its_line(tmp_path, content):
    path = tmp_path / "in"
    path.write_bytes(content)
    with open_rows(path, None) as rows:
        found = list(rows)
    expected = lines_by_python(content, "surrogateescape")
    assert [row.line for row in found] == expected
    for row in found:
        try:
            row.line.encode()
            assert row.problem == ""
        except UnicodeEncodeError:
            assert "is not UTF-8 (byte 0x" in row.problem


@given(odd_bytes, odd_bytes)
def test_any_lines_are_paired_with_their_prefixes_or_refused(tmp_path, first, second):
    path, prefixes = tmp_path / "in", tmp_path / "prefixes"
    path.write_bytes(first)
    prefixes.write_bytes(second)
    sizes = count_lines(path, "replace"), count_lines(prefixes, "replace")
    found = []
    with contextlib.suppress(InputError), open_rows(path, prefixes) as rows:
        found.extend(rows)
    assert len(found) == min(sizes)
    expected = lines_by_python(second, "surrogateescape")[: len(found)]
    assert [row.prefix for row in found] == expected


@given(odd_bytes, st.data())
def test_a_damaged_packed_file_is_read_whole_or_refused(tmp_path, content, data):
    packed = bytearray(gzip.compress(content, mtime=0))
    place = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        del packed[place:]
    else:
        packed[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "in.gz"
    path.write_bytes(packed)
    text = content.decode(errors="replace").encode()
    for read in (as_stream, by_number):
        found = outcome(read, path)
        # A file without any bytes is one of no lines.
        expected = lines_by_python(text) if packed else []
        assert isinstance(found, InputError) or found == expected
