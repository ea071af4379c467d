"""What an interruption has left half written in a work directory."""

import contextlib
import re
import shutil

from transformer_jax.storage.work_directory import StoredPath, is_remote

# Files that the package writes whole, directories of a corpus, and checkpoints that
# Orbax had not completed.
_FILES = re.compile(
    r"(config\.json|tokenizer(\.source|\.target)?\.model|tokenizer\.json"
    r"|metrics\.jsonl|skipped\.jsonl)\.partial-\d+"
)
_CORPORA = re.compile(r"(train|validation)\.partial-\w+")
_ORBAX = re.compile(r"\d+\.orbax-checkpoint-tmp.*")


def remove_partials(workdir: StoredPath) -> None:
    """Removes them; whoever calls it holds the lock, so that no one else writes."""
    if is_remote(workdir):
        return  # Nothing is written by halves there.
    for name, ours in (("", _FILES), ("corpus", _CORPORA), ("checkpoints", _ORBAX)):
        folder = workdir / name
        if not folder.is_dir():
            continue
        for path in folder.iterdir():
            if not ours.fullmatch(path.name):
                continue
            with contextlib.suppress(OSError):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
