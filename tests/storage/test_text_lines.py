"""Lines of text files: what ends a line, and what is refused."""

import errno
import gzip
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from transformer_jax.errors import InputError
from transformer_jax.storage import text_lines
from transformer_jax.storage.text_encoding import open_bytes
from transformer_jax.storage.text_lines import TextLines

# Without the time of writing, which would be in the names of tests.
PACKED = gzip.compress(b"text\n" * 1000, mtime=0)


@pytest.mark.parametrize("read", [TextLines, lambda name: open_bytes(Path(name))])
def test_a_name_that_no_file_can_have_is_refused(read):
    with pytest.raises(InputError, match="which no file can be called"):
        read("a\0b")


def lines_of(path, content):
    path.write_bytes(content)
    lines = TextLines(path)
    return lines.read(0, len(lines))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\nb\n\r\n", ["a", "b", ""]),
        (b"a\n\nb\n\n", ["a", "", "b", ""]),
        (b"\n", [""]),
        (b"", []),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
        (b"a\rb\n", ["a\rb"]),
        ("a\u2028b\x0bc\x0cd\x85e\x1cf\n\u00a0g\n".encode(), None),
        ("über\n日本語\n😀\n".encode(), ["über", "日本語", "😀"]),
    ],
)
def test_only_newlines_end_lines(tmp_path, content, expected):
    if expected is None:
        expected = content.decode().split("\n")[:-1]
    assert lines_of(tmp_path / "text", content) == expected


def test_every_part_is_that_part_of_the_whole(tmp_path):
    content = "ä\r\n\n\nlonger line\nb\u2028\n\nend".encode()
    whole = lines_of(tmp_path / "text", content)
    lines = TextLines(tmp_path / "text")
    for start in range(len(whole) + 1):
        for stop in range(len(whole) + 1):
            assert lines.read(start, stop) == whole[start:stop]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_chunks_do_not_show(tmp_path, monkeypatch, chunk):
    content = "ä\r\n\n\nlonger line\n\n日本\n\nend".encode()
    expected = lines_of(tmp_path / "text", content)
    monkeypatch.setattr(text_lines, "_CHUNK_BYTES", chunk)
    assert lines_of(tmp_path / "text", content) == expected


@pytest.mark.parametrize("number", [63, 64, 65, 128, 129, 1_000])
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("chunk", [50, 1 << 20])
def test_any_part_of_many_lines(tmp_path, monkeypatch, number, end, chunk):
    monkeypatch.setattr(text_lines, "_CHUNK_BYTES", chunk)
    whole = [f"Zeile {i} ü" if i % 7 else "" for i in range(number - 1)] + ["last"]
    path = tmp_path / "text"
    path.write_text("\n".join(whole) + end, encoding="utf-8")
    lines = TextLines(path)
    assert len(lines) == number
    for start in range(0, number, 9):
        for stop in {start, start + 1, start + 64, number - 1, number}:
            if stop <= number:
                assert lines.read(start, stop) == whole[start:stop]


def test_places_of_lines_take_little_memory(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a\n" * 300_000)
    tracemalloc.start()
    lines = TextLines(path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(lines) == 300_000
    assert held < 300_000 / 2


def test_what_is_unpacked_is_in_a_file_where_it_is_large(tmp_path, monkeypatch):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"ein Satz\n" * 5_000))
    in_memory = TextLines(path)
    monkeypatch.setattr(text_lines, "_MOST_BYTES_IN_MEMORY", 1_000)
    monkeypatch.setattr(text_lines, "_CHUNK_BYTES", 1 << 12)
    tracemalloc.start()
    in_file = TextLines(path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 25_000
    assert in_file.read(0, 5_000) == in_memory.read(0, 5_000) == ["ein Satz"] * 5_000


def test_no_room_to_unpack_is_told(tmp_path, monkeypatch):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"ein Satz\n" * 5_000))

    class Full(tempfile.SpooledTemporaryFile):
        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(text_lines.tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(InputError, match=r"text\.gz: .* \(No space .* set TMPDIR to"):
        TextLines(path)


def test_gz_is_read_as_the_plain_file(tmp_path):
    content = b"eins\r\nzwei\ndrei"
    assert lines_of(tmp_path / "text.gz", gzip.compress(content)) == lines_of(
        tmp_path / "text", content
    )


@pytest.mark.parametrize("chunk", [1, 2, 65_536])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xc3"])
@pytest.mark.parametrize("before", [b"", b"x"])
def test_invalid_utf8_is_refused_with_its_line(
    tmp_path, monkeypatch, before, bad, chunk
):
    monkeypatch.setattr(text_lines, "_CHUNK_BYTES", chunk)
    path = tmp_path / "text"
    path.write_bytes("ä\n\n".encode() + before + bad + b"\nlast\n")
    with pytest.raises(InputError, match=r"text, line 3: not UTF-8") as caught:
        TextLines(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent", None, "no such file"),
        ("absent.gz", None, "no such file"),
        ("plain.gz", b"not packed", "not a whole gzip file"),
        (
            "cut.gz",
            PACKED[:-9],
            "not a whole gzip file",
        ),
        (
            "bad.gz",
            PACKED[:12] + b"\xff" * 20,
            "gzip",
        ),
        ("folder", "folder", "cannot be read"),
        ("folder.gz", "folder", "cannot be read"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        TextLines(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
