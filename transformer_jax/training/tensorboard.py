"""TensorBoard events of a run."""

import tempfile
from pathlib import Path

from tensorboardX import SummaryWriter

from transformer_jax.storage.work_directory import StoredPath, is_remote, write_whole


class Events:
    """Writes events on disk; for an object store, `flush` copies them there."""

    def __init__(self, workdir: StoredPath, purge_step: int) -> None:
        """Begins a file; TensorBoard then forgets events from `purge_step` on."""
        self._workdir = workdir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if is_remote(workdir):
            self._temporary = tempfile.TemporaryDirectory(prefix="transformer_jax_")
        folder = self._temporary.name if self._temporary else str(workdir)
        self._writer = SummaryWriter(folder, purge_step=purge_step)

    def add(self, name: str, value: float, step: int) -> None:
        """Adds one number."""
        self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Copies the events into an object store."""
        if self._temporary is not None:
            self._writer.flush()
            for path in Path(self._temporary.name).iterdir():
                write_whole(self._workdir / path.name, path.read_bytes())

    def close(self) -> None:
        """Writes what is buffered."""
        self._writer.close()
        if self._temporary is not None:
            self.flush()
            self._temporary.cleanup()
