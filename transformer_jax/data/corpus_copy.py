"""A tokenised corpus in an object store, and this host's copy of it on disk.

Memory can only be mapped from a disk. So the corpus is made on the disk of the first
host, stored in the work directory, and copied from there by every other host, and
by hosts that take a run over later.
"""

import os
import shutil
import tempfile
from pathlib import Path

from transformer_jax.data.corpus import MANIFEST
from transformer_jax.storage.work_directory import StoredPath

_BUFFER_BYTES = 1 << 24


def store_corpus(local: Path, remote: StoredPath) -> None:
    """Copies a corpus from disk into an object store, the manifest last."""
    remote.mkdir(parents=True, exist_ok=True)
    # Until the new one is complete there is none.
    (remote / MANIFEST).unlink(missing_ok=True)
    names = sorted(path.name for path in local.iterdir() if path.name != MANIFEST)
    for name in [*names, MANIFEST]:
        with (local / name).open("rb") as source, (remote / name).open("wb") as target:
            shutil.copyfileobj(source, target, _BUFFER_BYTES)  # type: ignore[misc]


def fetch_corpus(remote: StoredPath, local: Path) -> None:
    """Copies a corpus from an object store to disk, replacing one that is there.

    It appears when it is complete. Several processes of a host may do this at once.
    """
    local.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{local.name}.partial-", dir=local.parent))
    try:
        for path in remote.iterdir():
            with path.open("rb") as source, (partial / path.name).open("wb") as target:
                shutil.copyfileobj(source, target, _BUFFER_BYTES)
        while True:
            try:
                os.rename(partial, local)
                return
            except OSError:
                if not local.is_dir():
                    raise
                # Who has mapped the old one keeps it.
                shutil.rmtree(local, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
