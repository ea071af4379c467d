"""A tokenised corpus in an object store, and this host's copy of it on disk.

Only a file on a disk can be mapped into memory. So the first host makes the corpus on
its disk and stores it in the work directory; every other host, and every host of a
later run, copies it from there.
"""

import functools
import os
import shutil
import tempfile
from pathlib import Path

from transformer_jax.data.corpus_files import MANIFEST
from transformer_jax.storage.retries import retry
from transformer_jax.storage.work_directory import StoredPath

_BUFFER_BYTES = 1 << 24


def store_corpus(local: Path, remote: StoredPath) -> None:
    """Copies a corpus from disk into an object store, the manifest last."""
    remote.mkdir(parents=True, exist_ok=True)
    # While the new one is incomplete, there must be no manifest.
    (remote / MANIFEST).unlink(missing_ok=True)
    names = sorted(path.name for path in local.iterdir() if path.name != MANIFEST)
    for name in [*names, MANIFEST]:
        with (local / name).open("rb") as source, (remote / name).open("wb") as target:
            shutil.copyfileobj(source, target, _BUFFER_BYTES)


def fetch_corpus(remote: StoredPath, local: Path) -> None:
    """Copies a corpus from an object store to disk, replacing one that is there.

    It appears when it is complete. Several processes of a host may do this at once.
    """
    local.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{local.name}.partial-", dir=local.parent))
    try:
        for path in remote.iterdir():
            retry(
                os.fspath(path),
                functools.partial(_copy, path, partial / path.name),
                remote=True,
            )
        while True:
            try:
                os.rename(partial, local)
                return
            except OSError:
                if not local.is_dir():
                    raise
                # Processes that have mapped the old one keep its memory.
                shutil.rmtree(local, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(source: StoredPath, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, _BUFFER_BYTES)
