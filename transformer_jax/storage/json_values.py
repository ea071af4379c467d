"""Values that JSON can hold."""

import json
import math
from collections.abc import Mapping
from typing import Any

# Characters that some programs read as the end of a line; json escapes the others.
_BREAKS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


def finite_or_none(value: Any) -> Any:
    """Returns JSON values with None for numbers that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite_or_none(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value


def parse_json(text: str | bytes) -> Any:
    """Returns the value of JSON text, which may be anyone's.

    Raises:
        ValueError: it is none, two values have one name, or it is nested deeper than
            Python can read.
    """
    try:
        return json.loads(text, object_pairs_hook=_object_of)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r:.40} has two values")
    return values


def json_line(values: Mapping[str, Any]) -> str:
    """Returns one line of JSON: no character in it ends a line for any reader."""
    text = json.dumps(finite_or_none(values), ensure_ascii=False, allow_nan=False)
    return text.translate(_BREAKS)
