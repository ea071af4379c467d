"""The checkpoint whose model a new run begins with, to fine-tune it.

It is read when a run begins and never again: one that goes on has checkpoints of its
own.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import (
    check_fits,
    load_description,
)
from transformer_jax.checkpoints.origin import describe_origin
from transformer_jax.config.changes import changes_of_model
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.devices.agreement import (
    all_together,
    decided_by_primary,
    require_agreement,
)
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.tokenizer.tokenizer import (
    Tokenizer,
    has_tokenizer,
    load_tokenizer,
)


@dataclass(frozen=True)
class InitialCheckpoint:
    """A checkpoint that the settings of a new run go together with."""

    directory: StoredPath
    config: ExperimentConfig
    """Its settings."""
    tokenizer: Tokenizer
    origin: Mapping[str, Any]
    """What checkpoints of the new run say of it, see `describe_origin`."""


def find_initial_checkpoint(
    config: ExperimentConfig, workdir: StoredPath
) -> InitialCheckpoint | None:
    """Returns the checkpoint that a new run begins with; None if it has none.

    Every process must call it. Changes nothing.

    Raises:
        InputError: there is none, it is damaged, its settings are those of another
            model, or the work directory has another tokenizer.
    """
    given = config.training.initial_checkpoint
    if given is None:
        return None
    with _naming(given):
        where = decided_by_primary(
            "the choice of the initial checkpoint", lambda: str(checkpoint_dir(given))
        )
        with all_together("the check of the initial checkpoint"):
            found = _check(config, work_directory(where), workdir)
        seen = {name: str(value) for name, value in found.origin.items()}
        require_agreement("initial checkpoint", seen)
    return found


@contextlib.contextmanager
def _naming(given: str) -> Iterator[None]:
    """Puts the setting in front of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"training.initial_checkpoint={given!r}: {error}") from error


def _check(
    config: ExperimentConfig, directory: StoredPath, workdir: StoredPath
) -> InitialCheckpoint:
    """Returns what is known of a checkpoint, every file of which is whole."""
    theirs, tokenizer = load_description(directory)
    if theirs.treebank.is_used != config.treebank.is_used:
        task = "to parse" if theirs.treebank.is_used else "to translate"
        raise InputError(
            f"its model was trained {task}, which these settings do not ask for: "
            "treebank.train_paths names the trees of a parser."
        )
    changes = changes_of_model(theirs, config)
    if changes:
        raise InputError(
            f"its model has other settings ({'; '.join(changes)}): give these as it "
            'has them, as with extends = ".../config.json" of its run; or begin with '
            'random parameters, training.initial_checkpoint="none".'
        )
    check_fits(theirs, directory)
    _check_tokenizer(tokenizer, workdir)
    origin = describe_origin(directory, tokenizer)
    return InitialCheckpoint(directory, theirs, tokenizer, origin)


def _check_tokenizer(tokenizer: Tokenizer, workdir: StoredPath) -> None:
    """Checks that no other tokenizer is in the directory; a damaged one is none."""
    if not has_tokenizer(workdir):
        return
    try:
        found = load_tokenizer(workdir)
    except InputError:
        return
    if found != tokenizer:
        raise InputError(
            f"the tokenizer in workdir={workdir} is not that of its model: remove it, "
            "or choose another workdir."
        )
