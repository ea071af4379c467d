"""Packages that other programs' formats need, and this package alone does not."""

import importlib
from typing import Any

from transformer_jax.errors import InputError


def require_package(name: str, extra: str) -> Any:
    """Returns a package, imported now.

    Args:
        extra: of this package, that installs it.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"this needs the package {name} ({reason:.120}): "
            f"pip install 'transformer-jax[{extra}]'."
        ) from None
