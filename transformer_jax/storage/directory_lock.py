"""One run at a time in a work directory: the lock that a run holds on it.

The lock is a file with a record of who holds it. Where the file system can lock files,
that decides: the lock of a process that has died is gone with it. In an object store,
and between hosts whose file systems do not see each other's locks, the holder writes a
new heartbeat into the record every few seconds; a record that stays as it is belongs to
a dead process.
"""

import contextlib
import errno
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from transformer_jax.errors import InputError
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.lock_holder import LockHolder, read_holder
from transformer_jax.storage.outputs import explain_write_errors
from transformer_jax.storage.work_directory import (
    StoredPath,
    create_directory,
    is_remote,
    remove_if_empty,
)

LOCK_FILE = "lock.json"

_HEARTBEAT_SECONDS = 10.0
# A holder that misses this many seconds of heartbeats is dead.
_DEAD_SECONDS = 45.0
# Clocks of hosts differ by less than this.
_OLD_SECONDS = 300.0
# Of two that write their record at the same time, the first sees the other's by then.
_SETTLING_SECONDS = 2.0

logger = logging.getLogger(__name__)


class DirectoryLock:
    """A lock that this process holds on a work directory."""

    def __init__(self, path: StoredPath, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor
        self._token = uuid.uuid4().hex
        self._lost_to: LockHolder | None = None
        self._closing = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def check(self) -> None:
        """Checks that the lock is still this process's own.

        Raises:
            InputError: another run has taken it, while this one could not be seen.
        """
        if self._lost_to is not None:
            raise InputError(
                f"{self._path.parent} was taken over by another run "
                f"({self._lost_to.name}), which could not see this one for "
                f"{_DEAD_SECONDS:.0f} s: stop one of the two."
            )

    def settle(self) -> None:
        """Begins the heartbeats; where nothing else decides, first looks for a rival.

        Raises:
            InputError: another process has taken the directory at the same time.
        """
        if self._descriptor is None:
            time.sleep(_SETTLING_SECONDS)
            self._look()
            self.check()
        self._thread.start()

    def release(self) -> None:
        """Ends the heartbeats and removes the file."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        with contextlib.suppress(Exception):
            self._look()
            if self._lost_to is None:
                self._path.unlink(missing_ok=True)
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _beat(self) -> None:
        while not self._closing.wait(_HEARTBEAT_SECONDS):
            # A store that cannot be reached for a moment is no reason to end a run.
            with contextlib.suppress(Exception):
                self._look()
                if self._lost_to is None:
                    self._write()

    def _look(self) -> None:
        """Notes whether the record has become another's."""
        found = read_holder(self._path)
        if found is not None and found.token != self._token:
            self._lost_to = found

    def _write(self) -> None:
        contents = LockHolder.this_process(self._token).to_json()
        if self._descriptor is None:
            self._path.write_bytes(contents)
            return
        # In place: a file of its name that replaces it would not be locked.
        os.pwrite(self._descriptor, contents, 0)
        os.ftruncate(self._descriptor, len(contents))


@contextlib.contextmanager
def lock_directory(directory: StoredPath) -> Iterator[DirectoryLock]:
    """Creates a work directory if it is missing, and holds the lock on it.

    After an error, a directory that was created here and is empty is removed.

    Raises:
        InputError: another process holds it; it cannot be created or written, or is
            among the checkpoints of another run.
    """
    check_outside_parts(directory, "workdir")
    with remove_if_empty(directory):
        create_directory(directory)
        path = directory / LOCK_FILE
        descriptor = None if is_remote(directory) else _lock_file(path)
        try:
            _require_free(path, locked=descriptor is not None)
            lock = _write_lock(path, descriptor)
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise
        try:
            lock.settle()
            yield lock
        finally:
            lock.release()


def _write_lock(path: StoredPath, descriptor: int | None) -> DirectoryLock:
    """Returns the lock, its record written; without it the file is removed.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with explain_write_errors(path):
            return DirectoryLock(path, descriptor)
    except InputError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _lock_file(path: StoredPath) -> int | None:
    """Returns a descriptor of the locked file; None if files cannot be locked here.

    Raises:
        InputError: another process has locked it.
    """
    try:
        import fcntl
    except ImportError:  # A system without such locks.
        return None
    while True:
        descriptor = os.open(os.fspath(path), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one who held it may have removed it since it was opened.
            if _is_same_file(descriptor, path):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            holder = read_holder(path)
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise _refusal(path, holder) from None
            return None  # The file system has no locks.


def _is_same_file(descriptor: int, path: StoredPath) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _require_free(path: StoredPath, *, locked: bool) -> None:
    """Checks that the one whom the record names is dead.

    Args:
        locked: whether the file system has given this process the lock; it may not
            see the locks of other hosts.

    Raises:
        InputError: it lives.
    """
    holder = read_holder(path)
    if holder is None:
        return
    if holder.is_here or (locked and holder.host == socket.gethostname()):
        # The same host with other numbers is a container that was started anew.
        lives = not locked and holder.lives_here()
    else:
        is_old = time.time() - holder.heartbeat > _OLD_SECONDS
        lives = not is_old and _beats(path, holder)
    if lives:
        raise _refusal(path, holder)
    logger.info("%s: the lock of %s, which has ended, is free", path, holder.name)


def _beats(path: StoredPath, holder: LockHolder) -> bool:
    """Waits for a heartbeat; returns whether there was one."""
    logger.warning(
        "%s: waiting for up to %.0f s for a sign of %s, which may hold it",
        path,
        _DEAD_SECONDS,
        holder.name,
    )
    until = time.monotonic() + _DEAD_SECONDS
    while time.monotonic() < until:
        time.sleep(1.0)
        now = read_holder(path)
        if now is None:
            return False
        if now != holder:
            return True
    return False


def _refusal(path: StoredPath, holder: LockHolder | None) -> InputError:
    who = "another process" if holder is None else holder.name
    return InputError(
        f"{path.parent} is in use by {who}: wait until that has ended, or choose "
        "another directory."
    )
