"""Which trained models a command works with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from transformer_jax.translation.translator import Translator


def chosen(checkpoint: str) -> Any:
    """Returns the choice of a checkpoint that a flag spells.

    Raises:
        InputError: it spells none.
    """
    if checkpoint in ("latest", "best", "average"):
        return checkpoint
    if checkpoint.isdecimal():
        return int(checkpoint)
    raise InputError(
        f"--checkpoint {checkpoint} must be latest, best, average or a step."
    )


def load_translator(
    workdir: str, checkpoint: str, ensemble: Sequence[str], mesh: "Mesh | None" = None
) -> "Translator":
    """Returns the model, or the ensemble.

    Args:
        ensemble: work directories, of which the same checkpoint is taken, or single
            checkpoints.
    """
    from transformer_jax.checkpoints.contents import is_checkpoint
    from transformer_jax.storage.work_directory import work_directory
    from transformer_jax.translation.translator import Translator

    which = chosen(checkpoint)
    others: list[tuple[str, Any]] = [
        (member, "latest" if is_checkpoint(work_directory(member)) else which)
        for member in ensemble
    ]
    return Translator.from_checkpoint(workdir, which, ensemble=others, mesh=mesh)
