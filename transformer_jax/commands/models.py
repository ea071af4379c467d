"""Trained models, chosen by flags."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from transformer_jax.checkpoints.manager import Which
    from transformer_jax.translation.translator import Translator


def parse_checkpoint(checkpoint: str) -> "Which":
    """Returns the value of the flag `--checkpoint`: a word, or a step.

    Raises:
        InputError: it is neither.
    """
    names: tuple[Which, ...] = ("latest", "best", "average")
    if re.fullmatch("0|[1-9][0-9]{0,17}", checkpoint):
        return int(checkpoint)
    for name in names:
        if name == checkpoint:
            return name
    raise InputError(
        f"--checkpoint {checkpoint} must be latest, best, average or a step."
    )


def load_translator(
    workdir: str, checkpoint: str, ensemble: Sequence[str], mesh: "Mesh | None" = None
) -> "Translator":
    """Returns the model of a work directory, or an ensemble.

    Args:
        ensemble: more work directories, each with the same choice of a checkpoint, or
            single checkpoints.
    """
    from transformer_jax.checkpoints.contents import is_checkpoint
    from transformer_jax.storage.work_directory import work_directory
    from transformer_jax.translation.translator import Translator

    which = parse_checkpoint(checkpoint)
    others: list[tuple[str, Which]] = [
        (member, "latest" if is_checkpoint(work_directory(member)) else which)
        for member in ensemble
    ]
    return Translator.from_checkpoint(workdir, which, ensemble=others, mesh=mesh)
