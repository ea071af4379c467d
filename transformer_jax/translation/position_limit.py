"""The number of positions that models have."""

from collections.abc import Iterable

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.positional_encoding import max_position


def position_limit(models: Iterable[ModelConfig]) -> int | None:
    """Returns the most tokens that every one of the models has positions for.

    None = any number: sinusoidal positions have no limit.
    """
    limits = [max_position(config) for config in models]
    return min((limit for limit in limits if limit is not None), default=None)
