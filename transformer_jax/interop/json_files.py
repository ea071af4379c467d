"""Files of JSON in a directory of Hugging Face."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformer_jax.errors import InputError
from transformer_jax.storage.json_values import parse_json


def read_json(path: Path) -> dict[str, Any]:
    """Returns the contents of a file.

    Raises:
        InputError: it cannot be read, or is no table of values.
    """
    try:
        values = parse_json(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is no table of values")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason:.120}).") from None
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a file."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def is_text(value: Any) -> bool:
    """Returns whether a value is text that UTF-8 can hold: not half of a pair."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
