"""Shapes of a model's parameters, kept as programs are."""

import functools

from transformer_jax.config.model import ModelConfig
from transformer_jax.devices.stored_programs import keep_result
from transformer_jax.model.size import expected_shapes


@functools.lru_cache(maxsize=8)
def kept_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns `expected_shapes`, for which a second start traces no model."""
    return keep_result("shapes", config, functools.partial(expected_shapes, config))
