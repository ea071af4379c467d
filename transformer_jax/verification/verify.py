"""Reads every file of a work directory and compares it with what was written."""

from collections.abc import Callable
from pathlib import Path

from transformer_jax.checkpoints.checksums import verify_checkpoint
from transformer_jax.checkpoints.choosing import averages
from transformer_jax.checkpoints.contents import is_checkpoint, load_description
from transformer_jax.checkpoints.reader import StoredCheckpoints, has_checkpoints
from transformer_jax.config.changes import changes_of_run
from transformer_jax.config.reading import load_config
from transformer_jax.data.corpus_files import MANIFEST, verify_corpus
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, is_remote
from transformer_jax.tokenizer.record import read_record
from transformer_jax.tokenizer.tokenizer import has_tokenizer, load_tokenizer
from transformer_jax.training.metrics_file import METRICS_FILE, read_lines

WHOLE = "whole"


def verify_parts(folder: StoredPath) -> dict[str, str]:
    """Returns `whole`, or what is wrong, for each part of a directory by its name.

    Args:
        folder: a work directory, or one checkpoint.

    Raises:
        InputError: it is neither.
    """
    if is_checkpoint(folder):
        return {folder.name: _state(lambda: _verify_directory(folder))}
    checks: dict[str, Callable[[], object]] = {}
    if (folder / "config.json").exists():
        checks["config.json"] = lambda: _verify_config(folder)
    if has_tokenizer(folder):
        checks["tokenizer"] = lambda: _verify_tokenizer(folder)
    if (folder / METRICS_FILE).exists():
        checks[METRICS_FILE] = lambda: _verify_lines(folder / METRICS_FILE)
    for split in ("train", "validation"):
        directory = folder / "corpus" / split
        if (directory / MANIFEST).exists() and not is_remote(folder):
            checks[f"corpus/{split}"] = lambda d=directory: verify_corpus(Path(d))
    if has_checkpoints(folder):
        stored = StoredCheckpoints(folder)
        for step in stored.steps:
            checks[f"checkpoints/{step}"] = lambda s=step: stored.verify(s)
    for path in averages(folder):
        checks[f"average/{path.name}"] = lambda p=path: _verify_directory(p)
    if not checks:
        raise InputError(f"{folder} is neither a work directory nor a checkpoint.")
    return {name: _state(check) for name, check in checks.items()}


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except InputError as error:
        return str(error)
    return WHOLE


def _verify_directory(directory: StoredPath) -> None:
    verify_checkpoint(directory)
    load_description(directory)


def _verify_config(folder: StoredPath) -> None:
    config = load_config(folder / "config.json")
    if not has_checkpoints(folder):
        return
    stored = StoredCheckpoints(folder)
    for step in stored.steps[-1:]:
        # Other settings may be those of a run that has not saved yet.
        for change in changes_of_run(stored.config(step), config):
            raise InputError(
                f"{folder / 'config.json'} is not of the model of checkpoint "
                f"{step} ({change})."
            )


def _verify_tokenizer(folder: StoredPath) -> None:
    record, tokenizer = read_record(folder), load_tokenizer(folder)
    if record is not None and record.digest != tokenizer.digest:
        raise InputError(
            f"the tokenizer in {folder} is not the one that tokenizer.json describes."
        )


def _verify_lines(path: StoredPath) -> None:
    num_lines = len(path.read_bytes().splitlines())
    damaged = num_lines - len(read_lines(path))
    if damaged:
        raise InputError(f"{path}: {damaged} of {num_lines} lines are damaged.")
