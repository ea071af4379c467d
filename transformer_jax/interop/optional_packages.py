"""Packages that other programs' formats need, and this package alone does not."""

import contextlib
from collections.abc import Iterator

from transformer_jax.errors import InputError


@contextlib.contextmanager
def explain_missing(extra: str) -> Iterator[None]:
    """Turns an ImportError of the block into an InputError.

    Args:
        extra: of this package, that installs what the block imports.

    Raises:
        InputError: a package is not installed, or cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the package {error.name} cannot be imported ({reason:.120}): "
            f"pip install 'transformer-jax[{extra}]'."
        ) from None
