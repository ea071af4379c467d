"""What a single setting may be. Messages name the setting in full, with its value."""

from typing import Any

from transformer_jax.errors import InputError


def require_at_least(section: str, config: Any, **minimums: float) -> None:
    """Raises InputError unless each named field is None or at least its minimum."""
    for name, minimum in minimums.items():
        value = getattr(config, name)
        if value is not None and not value >= minimum:
            raise InputError(f"{section}.{name}={value} must be at least {minimum}.")


def require_positive(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is None or above 0."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise InputError(f"{section}.{name}={value} must be positive.")


def require_rates(section: str, config: Any, *names: str) -> None:
    """Raises InputError unless each named field is in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        if not 0.0 <= value < 1.0:
            raise InputError(f"{section}.{name}={value} must be in [0, 1).")
