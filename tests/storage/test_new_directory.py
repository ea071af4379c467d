"""Directories that appear when they are whole."""

import re
import subprocess
import sys

import pytest

import transformer_jax as tj
from transformer_jax.parsing.evalb_parameters import load_evalb_parameters
from transformer_jax.storage.lock_holder import process_lives, process_mark
from transformer_jax.storage.new_directory import new_directory
from transformer_jax.storage.outputs import find_output
from transformer_jax.storage.text_lines import TextLines
from transformer_jax.storage.work_directory import work_directory

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are in /proc")


def test_a_directory_that_has_come_meanwhile_is_left_and_told(tmp_path):
    def write(output):
        with new_directory(output) as partial:
            (partial / "mine").touch()
            output.mkdir()
            (output / "theirs").touch()

    with pytest.raises(tj.InputError, match=r"out is there by now: .* name another"):
        write(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


@LINUX
def test_what_an_ended_process_has_left_is_removed(tmp_path, caplog):
    program = (
        "import os, sys\n"
        "from transformer_jax.storage.new_directory import new_directory\n"
        "with new_directory(sys.argv[1]) as partial:\n"
        "    (partial / 'half').touch()\n"
        "    os._exit(1)\n"
    )
    output = tmp_path / "out"
    subprocess.run([sys.executable, "-c", program, output], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "half").exists()
    mine = re.sub(r"\.partial-.*", f".partial-{process_mark()}x", left.name)
    others = [
        f"out2.partial-{left.name.partition('.partial-')[2]}",  # Of another output.
        mine,  # No mark.
        re.sub("-[0-9a-f]+$", "-0123456789ab", left.name),  # Of another machine.
    ]
    for name in others:
        (tmp_path / name).mkdir()
    with new_directory(output):
        assert not left.exists()
    assert left.name in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out", *others])


@LINUX
def test_a_living_process_keeps_what_it_writes(tmp_path):
    assert process_lives(process_mark()) is True
    with new_directory(tmp_path / "out") as partial:
        with new_directory(tmp_path / "out2"):
            assert partial.is_dir()
        (partial / "file").touch()
    assert (tmp_path / "out" / "file").exists()


@pytest.mark.parametrize(
    "use", [work_directory, find_output, TextLines, load_evalb_parameters]
)
def test_a_user_that_there_is_not_is_an_error(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tj.InputError, match=r"home directory ~nouser9; .* \./~nouser9"):
        use("~nouser9/x")
    assert not list(tmp_path.iterdir())
