"""What the user named is looked at before anything is written there."""

import errno
import gzip
import os
import stat
import subprocess
import sys
import threading

import pytest

from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.storage.work_directory import work_directory, write_whole

TEXT = "Häuser\n\n\u2028\n"


def write(path, text=TEXT):
    with open_output(find_output(path)) as out:
        out.write(text)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_an_output_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(TypeError), open_output(find_output(path)) as out:
        out.writelines(["half", None])
    assert contents(tmp_path) == {}
    write(path)
    assert contents(tmp_path) == {"out": TEXT}
    with pytest.raises(TypeError), open_output(find_output(path)) as out:
        out.writelines(["half", None])
    assert contents(tmp_path) == {"out": TEXT}


def through_open_output(path):
    write(path)


def through_write_whole(path):
    write_whole(work_directory(path), TEXT.encode())


each_writer = pytest.mark.parametrize(
    "writer", [through_open_output, through_write_whole]
)


@each_writer
def test_links_stay_and_modes_are_kept(writer, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "file"
    file.write_text("before")
    file.chmod(0o600)
    link, second = tmp_path / "link", tmp_path / "second"
    link.symlink_to("elsewhere/file")
    second.symlink_to(link)
    writer(second)
    assert (link.is_symlink(), second.is_symlink()) == (True, True)
    assert file.read_text() == TEXT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


@each_writer
def test_a_link_to_nothing_makes_what_it_names(writer, tmp_path):
    (tmp_path / "link").symlink_to("file")
    writer(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == TEXT


@each_writer
def test_a_pipe_is_written_to(writer, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    writer(pipe)
    reader.join()
    assert read == [TEXT]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@each_writer
def test_a_device_is_written_to(writer, tmp_path):
    reading, terminal = os.openpty()
    name = os.ttyname(terminal)
    (tmp_path / "link").symlink_to(name)
    writer(tmp_path / "link")
    assert os.read(reading, 100).decode().replace("\r", "") == TEXT
    assert stat.S_ISCHR(os.stat(name).st_mode)
    assert (tmp_path / "link").is_symlink()
    os.close(reading)
    os.close(terminal)


PROGRAM = """
import sys
from transformer_jax.storage.outputs import find_output, open_output
from pathlib import Path
print("before")
with open_output(find_output(Path(sys.argv[1]))) as out:
    out.write("written\\n")
print("after")
"""


@pytest.mark.parametrize("mode", ["w", "a"])
@pytest.mark.parametrize(
    "name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"]
)
def test_names_of_standard_output_are_it(name, mode, tmp_path):
    """A shell's `> file` and `>> file` get the lines in their order."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "file").write_text("first\n")
    with (tmp_path / "file").open(mode) as file:
        subprocess.run(
            [sys.executable, "-c", PROGRAM, name],
            cwd=tmp_path, stdout=file, check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    first = "first\n" if mode == "a" else ""
    assert (tmp_path / "file").read_text() == f"{first}before\nwritten\nafter\n"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_name_in_gz_is_compressed(tmp_path):
    write(tmp_path / "out.gz")
    once = (tmp_path / "out.gz").read_bytes()
    assert gzip.decompress(once).decode() == TEXT
    write(tmp_path / "out.gz")
    assert (tmp_path / "out.gz").read_bytes() == once


def test_one_process_at_a_time_writes_a_file(tmp_path):
    with open_output(find_output(tmp_path / "out")) as out:
        out.write("first")
        with pytest.raises(
            InputError, match=r"out\.writing is being written by another"
        ):
            write(tmp_path / "out")
    assert contents(tmp_path) == {"out": "first"}


def test_what_a_dead_process_left_is_written_anew(tmp_path):
    (tmp_path / "out.writing").write_text("half of an older and longer output")
    write(tmp_path / "out")
    assert contents(tmp_path) == {"out": TEXT}


def test_what_is_replaced_is_told(tmp_path, caplog):
    (tmp_path / "out").touch()
    write(tmp_path / "out")
    assert not caplog.messages
    write(tmp_path / "out")
    assert caplog.messages == [f"{tmp_path}/out is there already, and will be replaced"]


def test_an_error_of_other_work_is_not_the_outputs(tmp_path):
    out, missing = tmp_path / "out", tmp_path / "missing"
    found = find_output(out)
    with pytest.raises(FileNotFoundError, match="missing"), open_output(found):
        missing.read_text()
    assert contents(tmp_path) == {}


def test_a_full_disk_is_told_and_changes_nothing(tmp_path, monkeypatch):
    write(tmp_path / "out")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(InputError, match=r"out: cannot be written \(No space left"):
        write(tmp_path / "out", "another")
    assert contents(tmp_path) == {"out": TEXT}


def test_a_file_may_have_the_name_of_a_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_output(type(tmp_path)("standard output"))
    assert not found.is_standard
    assert found.file is not None


def test_what_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "ring").symlink_to("ring")
    for name, message in (
        ("", "Is a directory"),
        ("missing/out", "missing is not there"),
        ("ring", "Too many levels of symbolic links"),
    ):
        with pytest.raises(InputError, match=rf"cannot be written \(.*{message}\)"):
            find_output(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot be written \(Bad file descriptor"):
        find_output(type(tmp_path)("/dev/fd/999"))
    with pytest.raises(InputError, match="gs://bucket/out: text is written to files"):
        find_output(type(tmp_path)("gs://bucket/out"))
