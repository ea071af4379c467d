"""Names of files and directories, as callers give them."""

import os
from typing import Any

from transformer_jax.errors import InputError


def path_name(what: str, path: Any) -> str:
    """Returns a path as text.

    Raises:
        InputError: it is no path, or none that a file can have.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"{what} is {path!r:.60} ({type(path).__name__}): give a path."
        )
    name = os.fspath(path)
    try:
        is_possible = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # Half of a surrogate pair.
        is_possible = False
    if not is_possible:
        raise InputError(f"{what} is {name!a:.60}, which no file can be called.")
    return name
