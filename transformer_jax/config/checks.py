"""Checks of single settings. Messages hold the full name and the value."""

import math
import types
import typing
from typing import Any

from transformer_jax.errors import InputError

MOST_SEED = 2**32 - 1  # JAX would cut off what is above it.
MOST_STEPS = 2**31 - 1  # Counted in int32.


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


def require_at_most(section: str, config: Any, **maximums: int) -> None:
    """Raises InputError unless each named field is at most its maximum."""
    for name, maximum in maximums.items():
        value = getattr(config, name)
        if value > maximum:
            raise InputError(f"{section}.{name}={value} must be at most {maximum}.")


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
    if value == math.inf:
        raise InputError(f"{name}={value} must be finite.")


def require_rates(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None or in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0.0 <= value < 1.0:
            raise InputError(
                f"{section}.{name}={value} must be in [0, 1){_or_none(config, name)}."
            )


def _or_none(config: Any, name: str) -> str:
    """Returns the end of a message for a setting that may be None."""
    hint = typing.get_type_hints(type(config))[name]
    return ", or none" if _fits(None, hint) else ""


def require_types(section: str, config: Any) -> None:
    """Raises InputError unless every field has the type of its annotation."""
    for name, hint in typing.get_type_hints(type(config)).items():
        require_type(f"{section}.{name}", getattr(config, name), hint)


def require_type(name: str, value: Any, hint: Any) -> None:
    """Raises InputError unless the value of the setting `name` is of type `hint`."""
    if not _fits(value, hint):
        raise InputError(f"{name}={value!r} must be {_describe_type(hint)}.")


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
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
    return {
        int: "an integer",
        float: "a number",
        str: "a string",
        bool: "true or false",
    }.get(hint, "left out (off)")
