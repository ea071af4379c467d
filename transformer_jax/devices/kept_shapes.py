"""Shapes of a model's parameters, kept as programs are.

A second start traces no model to know them.
"""

import functools

from transformer_jax.config.model import ModelConfig
from transformer_jax.devices.kept_files import keep_result
from transformer_jax.model.params import Params
from transformer_jax.model.size import abstract_boxes, expected_shapes


@functools.lru_cache(maxsize=8)
def kept_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns `expected_shapes`."""
    return keep_result("shapes", config, functools.partial(expected_shapes, config))


@functools.lru_cache(maxsize=8)
def kept_boxes(config: ModelConfig) -> Params:
    """Returns `abstract_boxes`."""
    return keep_result("boxes", config, functools.partial(abstract_boxes, config))
