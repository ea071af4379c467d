"""Who holds the lock of a work directory: a process, as its record in the file says."""

import hashlib
import json
import os
import pathlib
import re
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any

from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import StoredPath


@dataclass(frozen=True)
class LockHolder:
    """The process that holds a lock."""

    host: str
    pid: int
    process_start: str
    """Tells the process from a later one with its number; "" where that is unknown."""
    space: str
    """The machine and its space of process numbers: a container has one of its own."""
    token: str
    heartbeat: float
    """Seconds since 1970."""

    @classmethod
    def this_process(cls, token: str) -> "LockHolder":
        """Returns the record of this process, with a heartbeat of this moment."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start=_process_start(os.getpid()),
            space=_space(),
            token=token,
            heartbeat=time.time(),
        )

    @property
    def name(self) -> str:
        """As messages name it."""
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this machine, so that its process can be looked for."""
        return bool(self.space) and self.space == _space()

    def lives_here(self) -> bool:
        """Returns whether its process is one of this machine that has not ended."""
        return self.is_here and _process_start(self.pid) == self.process_start

    def to_json(self) -> bytes:
        """Returns the contents of the file."""
        return json.dumps(asdict(self)).encode()


def read_holder(path: StoredPath) -> LockHolder | None:
    """Returns the holder that the file names, None if it names none."""
    try:
        record: dict[str, Any] = parse_json(path.read_bytes())
        return LockHolder(**{**record, "heartbeat": float(record["heartbeat"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _space() -> str:
    """Returns what tells this machine, since it was started, and container apart."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """Returns when a process began, in the kernel's ticks; "" if there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name of the program, in parentheses, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def process_mark() -> str:
    """Returns what tells this process from all others, for the name of a file."""
    pid = os.getpid()
    return f"{pid}-{_process_start(pid)}-{_space_mark()}"


def process_lives(mark: str) -> bool | None:
    """Returns whether the process of a mark has not ended.

    None where that cannot be known: it is of another machine, or no mark.
    """
    found = re.fullmatch(r"(\d+)-(\d+)-([0-9a-f]+)", mark)
    if found is None or found[3] != _space_mark():
        return None
    return _process_start(int(found[1])) == found[2]


def _space_mark() -> str:
    space = _space()
    return hashlib.sha256(space.encode()).hexdigest()[:12] if space else ""
