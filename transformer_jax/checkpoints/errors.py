"""Errors of reading and writing checkpoints."""

import errno
import os
import re

from transformer_jax.errors import InputError


class DamagedCheckpoint(InputError):  # noqa: N818 - InputError is its kind
    """A file of a checkpoint is missing, cut short or changed."""


class IncompleteCheckpoint(DamagedCheckpoint):
    """A part of a checkpoint is not there: it is none, or is being removed."""


class SaveError(InputError):
    """A checkpoint could not be written; those before it are as they were."""


# What the operating system says stands at the end of pages of the library's own.
_CAUSES = re.compile(
    "|".join(
        os.strerror(number)
        for number in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EROFS,
            errno.EACCES,
            errno.EIO,
            errno.ESTALE,
        )
    )
)


def first_line(error: BaseException) -> str:
    """Returns what a library's error says, short enough for one line."""
    if cause := _CAUSES.search(str(error)):
        return cause[0]
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:160]}..."
