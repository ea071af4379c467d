"""Flags in place of Python's argument names in the errors a command shows."""

import contextlib
import re
from collections.abc import Iterator, Mapping

from transformer_jax.errors import InputError, ProcessLost

# A setting, as decoding.top_k=3, decoding.sampling=true or decoding.too_long="split".
_DECODING = re.compile(r"\bdecoding\.([a-z_]+)(?:=(\"[^\"]*\"|'[^']*'|[\w+.-]*\w))?")


@contextlib.contextmanager
def flags_in_errors(
    flags: Mapping[str, str], *, decoding: bool = False
) -> Iterator[None]:
    """Rewrites what a block asks of its user for the user of a shell.

    Args:
        flags: phrases of errors, each the beginning of a word, as `minutes=`, and what
            to say in their place, as `--minutes `.
        decoding: the command has the settings of decoding as flags without a section:
            say `--top-k 3` in place of `decoding.top_k=3`.
    """
    pattern = "|".join(map(re.escape, flags))
    try:
        yield
    except (InputError, ProcessLost) as error:
        text = str(error)
        if flags:
            text = re.sub(rf"(?<!\S)({pattern})", lambda match: flags[match[0]], text)
        if decoding:
            text = _DECODING.sub(_flag, text)
        kind = ProcessLost if isinstance(error, ProcessLost) else InputError
        raise kind(text) from None


def _flag(setting: re.Match[str]) -> str:
    name, value = setting[1].replace("_", "-"), setting[2]
    if value in (None, "true", "True"):
        return f"--{name}"
    return f"--{name} " + value.strip("\"'")
