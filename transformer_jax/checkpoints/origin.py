"""The checkpoint that a fine-tuned model began with, as its own checkpoints name it."""

from typing import Any

from transformer_jax.checkpoints.checksums import digest_of_files
from transformer_jax.checkpoints.contents import AVERAGE, averaged_steps, read_json
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.tokenizer.tokenizer import Tokenizer

ORIGIN = "initial_checkpoint"


def describe_origin(directory: StoredPath, tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns what identifies a checkpoint: JSON values.

    They are its `path`, its `step` (of an average the last one; None if neither it nor
    its name tells), and digests of the files of its `parameters` and of its
    `tokenizer`. A copy of the checkpoint has the same digests.
    """
    step: int | None = int(directory.name) if directory.name.isdecimal() else None
    averaged = averaged_steps(directory)
    return {
        "path": str(directory),
        "step": averaged[-1] if averaged else step,
        "parameters": digest_of_files(directory / "params"),
        "tokenizer": tokenizer.digest,
    }


def origin_of(directory: StoredPath) -> dict[str, Any] | None:
    """Returns the checkpoint that the run of a checkpoint began with; None if none.

    An average has it from the last of its checkpoints.

    Raises:
        InputError: the checkpoint is damaged.
    """
    for item in ("run", AVERAGE):
        if (directory / item).is_dir():
            found: dict[str, Any] | None = read_json(directory, item)[item].get(ORIGIN)
            return found
    return None
