"""Checks of single settings. Messages hold the full name and the value."""

import dataclasses
import sys
import types
import typing
from typing import Any

from transformer_jax.errors import InputError

MOST_SEED = 2**32 - 1  # JAX would cut off what is above it.
MOST_STEPS = 2**31 - 1  # Counted in int32.
_MOST_BITS = 63  # TOML has no larger integers; they may be no float, and have no text.
MOST_SIZE = 2**31 - 1  # Indices are int32.
# Room in float32 for what such a number is multiplied or divided by.
LEAST_FLOAT, MOST_FLOAT = 1e-30, 1e30
_MOST_RATE = 1 - 2**-24  # The largest float32 below 1.


def require_at_least(section: str, config: Any, **minimums: float) -> None:
    """Raises InputError unless each named field is None or at least its minimum."""
    for name, minimum in minimums.items():
        value = getattr(config, name)
        if value is not None and not value >= minimum:
            raise InputError(
                f"{section}.{name}={value} must be at least {minimum}"
                f"{_or_none(config, name)}."
            )
        _require_finite(f"{section}.{name}", value)


def require_at_most(section: str, config: Any, **maximums: float) -> None:
    """Raises InputError unless each named field is None or at most its maximum."""
    for name, maximum in maximums.items():
        value = getattr(config, name)
        if value is not None and value > maximum:
            raise InputError(f"{section}.{name}={value} must be at most {maximum}.")


def require_sizes(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None or fits into int32."""
    require_at_most(section, config, **dict.fromkeys(names, MOST_SIZE))


def require_float32(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None, 0 or well inside float32."""
    for name in names:
        value = getattr(config, name)
        if value and not LEAST_FLOAT <= value <= MOST_FLOAT:
            raise InputError(
                f"{section}.{name}={value} must be between {LEAST_FLOAT:g} and "
                f"{MOST_FLOAT:g}: it is computed with in float32."
            )


def require_positive(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None or above 0."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise InputError(
                f"{section}.{name}={value} must be positive{_or_none(config, name)}."
            )
        _require_finite(f"{section}.{name}", value)


def _require_finite(name: str, value: float | None) -> None:
    # An integer may be larger than any float.
    if value is not None and value > sys.float_info.max:
        raise InputError(f"{name}={value} must be finite.")


def require_rates(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None or in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0.0 <= value < 1.0:
            raise InputError(
                f"{section}.{name}={value} must be in [0, 1){_or_none(config, name)}."
            )
        if value is not None and value > _MOST_RATE:
            raise InputError(
                f"{section}.{name}={value} must be at most {_MOST_RATE:.8f}: it is 1 "
                "in float32."
            )


def _or_none(config: Any, name: str) -> str:
    """Returns the end of a message for a setting that may be None."""
    hint = typing.get_type_hints(type(config))[name]
    return ", or none" if _fits(None, hint) else ""


def require_types(section: str, config: Any) -> None:
    """Raises InputError unless every field has the type of its annotation.

    Numbers and arrays of NumPy become Python's own.
    """
    for name, hint in typing.get_type_hints(type(config)).items():
        given = value = getattr(config, name)
        may_be_tuple = _may_be_tuple(hint)
        if may_be_tuple or getattr(given, "shape", None) == ():
            value = _without_numpy(given)
        if may_be_tuple and isinstance(value, list | tuple):
            value = tuple(map(_without_numpy, value))
        if value is not given:
            object.__setattr__(config, name, value)  # The settings are frozen.
        require_type(f"{section}.{name}", value, hint)


def _without_numpy(value: Any) -> Any:
    is_numpy = type(value).__module__ == "numpy" and hasattr(value, "tolist")
    return value.tolist() if is_numpy else value


def _may_be_tuple(hint: Any) -> bool:
    return any(typing.get_origin(x) is tuple for x in (hint, *typing.get_args(hint)))


def require_config(config: Any, kind: type) -> None:
    """Raises InputError unless the argument `config` of a function is of this class."""
    if not isinstance(config, kind):
        article = "an" if kind.__name__.startswith("E") else "a"
        raise InputError(
            f"config={config!r:.80} must be {article} {kind.__name__}: give "
            "load_config(...) of a file, or the section of it."
        )


def require_type(name: str, value: Any, hint: Any) -> None:
    """Raises InputError unless the value of the setting `name` is of type `hint`."""
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _require_bits(f"{name}[{place}]", item)
    _require_bits(name, value)
    if not _fits(value, hint):
        raise InputError(f"{name}={shown(value)} must be {_describe_type(hint)}.")


def _require_bits(name: str, value: Any) -> None:
    if isinstance(value, int) and (num_bits := value.bit_length()) > _MOST_BITS:
        number = value if num_bits < 256 else f"(an integer of {num_bits:,} bits)"
        raise InputError(f"{name}={number} must have at most {_MOST_BITS} bits.")


def shown(value: Any) -> str:
    """Returns a value for a message, whatever it is."""
    try:
        return repr(value)
    except (ValueError, RecursionError):  # Thousands of digits or of brackets.
        return f"({type(value).__name__})"


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is tuple:  # TOML and JSON have lists only.
        kind = typing.get_args(hint)[0]
        return isinstance(value, list | tuple) and all(_fits(x, kind) for x in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe_type(option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in typing.get_args(hint))
    if origin is tuple:
        return f"a list, each item {_describe_type(typing.get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint):
        return f"a {getattr(hint, '__name__', hint)}"
    return {
        int: "an integer",
        float: "a number",
        str: "a string",
        bool: "true or false",
    }.get(hint, "left out (off)")
