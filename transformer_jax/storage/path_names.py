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


def readable_name(name: str) -> str:
    """Returns a name, which may be any bytes, as a line of text."""
    return " ".join(os.fsencode(name).decode(errors="replace").split())


def expand_home(name: str | os.PathLike[str]) -> str:
    """Returns a path with the directory of a user in place of `~` or `~user`.

    Raises:
        InputError: there is no such user, or the user has none.
    """
    expanded = os.path.expanduser(os.fspath(name))
    if expanded.startswith("~"):
        raise InputError(
            f"{expanded}: there is no home directory "
            f"{expanded.split('/', 1)[0]}; a name that begins so is written "
            f"./{expanded}."
        )
    return expanded
