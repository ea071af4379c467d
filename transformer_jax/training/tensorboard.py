"""TensorBoard events of a run."""

import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformer_jax.storage.work_directory import StoredPath, is_remote, write_whole


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Hides PyTorch, which tensorboardX imports where it finds it: two seconds."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # its import then fails
    try:
        yield
    finally:
        sys.modules.pop("torch", None)


with _without_torch():
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2
    from tensorboardX.summary import scalar

logger = logging.getLogger(__name__)


class Events:
    """Writes events on disk; for an object store, `flush` copies them there.

    Events are for the eye: where they cannot be written, as on a full disk, a warning
    says so, and the run goes on without them.
    """

    def __init__(self, workdir: StoredPath, purge_step: int) -> None:
        """Begins a file; TensorBoard then forgets events from `purge_step` on."""
        self._workdir = workdir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if is_remote(workdir):
            self._temporary = tempfile.TemporaryDirectory(prefix="transformer_jax_")
        folder = self._temporary.name if self._temporary else str(workdir)
        self._has_failed = False
        # Not the SummaryWriter: the end of its thread, on a full disk, is never told.
        self._writer: EventsWriter | None = None
        self._try(lambda: self._begin(str(Path(folder) / "events"), purge_step))

    def _begin(self, prefix: str, purge_step: int) -> None:
        self._writer = EventsWriter(prefix)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=purge_step, session_log=start))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        if self._writer is not None:
            self._writer.write_event(event)

    def _try(self, write: Callable[[], object]) -> None:
        if self._has_failed:
            return
        try:
            write()
        except OSError as error:
            self._has_failed = True
            logger.warning(
                "no more TensorBoard events: they cannot be written (%s)",
                error.strerror or error,
            )

    def add(self, name: str, value: float, step: int) -> None:
        """Adds one number."""
        event = event_pb2.Event(step=step, summary=scalar(name, value))
        self._try(lambda: self._write(event))

    def flush(self) -> None:
        """Writes what is buffered, and copies the events into an object store."""
        if self._writer is not None:
            self._try(self._writer.flush)
        if self._temporary is not None:
            for path in Path(self._temporary.name).iterdir():
                write_whole(self._workdir / path.name, path.read_bytes())

    def close(self) -> None:
        """Writes what is buffered."""
        if self._writer is not None:
            self._try(self._writer.close)
        if self._temporary is not None:
            for path in Path(self._temporary.name).iterdir():
                write_whole(self._workdir / path.name, path.read_bytes())
            self._temporary.cleanup()
