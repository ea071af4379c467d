"""One run at a time in a work directory; whoever has died holds nothing."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from buckets import mount

from transformer_jax.errors import InputError
from transformer_jax.storage import directory_lock
from transformer_jax.storage.directory_lock import LOCK_FILE, lock_directory
from transformer_jax.storage.lock_holder import LockHolder
from transformer_jax.storage.work_directory import work_directory

HOLDER = """
import sys, time
from transformer_jax.storage.directory_lock import lock_directory
from transformer_jax.storage.work_directory import work_directory
with lock_directory(work_directory(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    return work_directory(tmp_path / "run")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    for name, seconds in (
        ("_HEARTBEAT_SECONDS", 0.1), ("_DEAD_SECONDS", 2.0), ("_SETTLING_SECONDS", 0.3)
    ):  # fmt: skip
        monkeypatch.setattr(directory_lock, name, seconds)
    mount(monkeypatch, tmp_path / "store")
    return work_directory("gs://bucket/runs/one")


def other_process(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, os.fspath(folder)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "locked\n"
    process.stdout.close()
    return process


def record(path: Path, **changes) -> None:
    """Writes the lock of another host."""
    holder = LockHolder.this_process("token of another")
    other = {"host": "elsewhere", "pid": 7, "space": "another machine", **changes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dataclasses.replace(holder, **other).to_json())


def test_a_second_process_is_refused_with_the_name_of_the_first(folder):
    process = other_process(folder)
    try:
        expected = rf"run is in use by process {process.pid} on {os.uname().nodename}"
        with pytest.raises(InputError, match=expected), lock_directory(folder):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock_directory(folder) as lock:  # It left its file, but not the lock.
        lock.check()


def test_one_process_cannot_lock_twice(folder):
    with (
        lock_directory(folder),
        pytest.raises(InputError, match=f"process {os.getpid()} on"),
        lock_directory(folder),
    ):
        pass
    with lock_directory(folder):
        assert (folder / LOCK_FILE).exists()
    assert not (folder / LOCK_FILE).exists()


def test_a_directory_made_for_nothing_is_removed(folder):
    with pytest.raises(ValueError, match="refused"), lock_directory(folder):
        raise ValueError("refused")
    assert not folder.exists()


@pytest.mark.parametrize("contents", [b"", b"{}", b"\xff\x00", b'{"host": 3}'])
def test_a_damaged_file_locks_nothing(folder, contents):
    folder.mkdir()
    (folder / LOCK_FILE).write_bytes(contents)
    with lock_directory(folder) as lock:
        lock.check()


def test_another_host_that_shows_signs_of_life_is_respected(bucket):
    path = bucket / LOCK_FILE
    record(path)
    with (
        pytest.raises(InputError, match="in use by process 7 on elsewhere"),
        Beating(path),
        lock_directory(bucket),
    ):
        pass


def test_another_host_that_shows_none_is_dead(bucket):
    record(bucket / LOCK_FILE)
    started = time.monotonic()
    with lock_directory(bucket) as lock:
        assert time.monotonic() - started > 2.0
        lock.check()
    # An old heartbeat needs no waiting.
    record(bucket / LOCK_FILE, heartbeat=time.time() - 10_000)
    started = time.monotonic()
    with lock_directory(bucket):
        assert time.monotonic() - started < 2.0


def test_who_loses_the_directory_is_told(bucket):
    with lock_directory(bucket) as lock:
        lock.check()
        record(bucket / LOCK_FILE)
        time.sleep(0.5)
        with pytest.raises(InputError, match=r"taken over by another run .*elsewhere"):
            lock.check()
    # It does not remove the other's lock.
    assert json.loads((bucket / LOCK_FILE).read_bytes())["host"] == "elsewhere"


class Beating:
    """Writes heartbeats of another host while the block runs."""

    def __init__(self, path) -> None:
        self.path = path

    def __enter__(self) -> None:
        import threading

        self.ends = threading.Event()

        def beat() -> None:
            while not self.ends.wait(0.3):
                record(self.path)

        self.thread = threading.Thread(target=beat)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.thread.join()
