"""Flags in place of Python's argument names in the errors a command shows."""

import contextlib
import re
from collections.abc import Iterator, Mapping

from transformer_jax.errors import InputError


@contextlib.contextmanager
def flags_in_errors(flags: Mapping[str, str]) -> Iterator[None]:
    """Rewrites the InputErrors of a block for the user of a shell.

    Args:
        flags: phrases of errors, each the beginning of a word, as `minutes=`, and what
            to say in their place, as `--minutes `.
    """
    pattern = "|".join(map(re.escape, flags))
    try:
        yield
    except InputError as error:
        text = re.sub(rf"(?<!\S)({pattern})", lambda match: flags[match[0]], str(error))
        raise InputError(text) from None
