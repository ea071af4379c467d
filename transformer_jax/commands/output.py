"""What commands print: results to standard output, the rest to standard error."""

import contextlib
import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Prints a result: one JSON object."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_note(text: str) -> None:
    """Prints a line for people."""
    if sys.stderr is not None:  # Otherwise it is closed, and print takes the other one.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)
