"""What commands print: results to standard output, the rest to standard error."""

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Prints a result: one JSON object."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_note(text: str) -> None:
    """Prints a line for people."""
    print(text, file=sys.stderr)
