"""What commands print: results to standard output, the rest to standard error."""

import contextlib
import json
import sys
from typing import Any

from transformer_jax.storage.json_values import finite_or_none


def print_json(value: Any) -> None:
    """Prints a result: one JSON object; what is no finite number becomes null."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """Returns JSON over several lines, with null for what is no finite number."""
    return json.dumps(
        finite_or_none(value), indent=2, ensure_ascii=False, allow_nan=False
    )


def print_note(text: str) -> None:
    """Prints a line for people."""
    if sys.stderr is not None:  # Otherwise it is closed, and print takes the other one.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)
