"""What a search reads of its models: the parameters, and the weights of a step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.sharding import Mesh

from transformer_jax.config.model import ModelConfig
from transformer_jax.devices.defaults import has_left_kernels
from transformer_jax.devices.sharding import replicated_sharding
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.model.params import Params
from transformer_jax.model.step_weights import StepWeights
from transformer_jax.model.transformer import Transformer

ModelParams: TypeAlias = tuple[Params, ...]
"""Parameters of each model of an ensemble."""


class SearchWeights(NamedTuple):
    """What a search reads of the models of an ensemble."""

    params: ModelParams
    steps: tuple[StepWeights, ...]


@functools.lru_cache(maxsize=16)
def make_weights_program(
    models: tuple[ModelConfig, ...], dtypes: tuple[str, ...], mesh: Mesh
) -> Callable[[ModelParams], SearchWeights]:
    """Returns the function of parameters that makes the weights of a search.

    Args:
        dtypes: for each model, the dtype of products with its weights.
    """

    @functools.partial(jax.jit, out_shardings=replicated_sharding(mesh))
    def step_weights(params: ModelParams) -> tuple[StepWeights, ...]:
        steps: list[Any] = [
            Transformer(config).apply(
                {"params": own},
                dtype,
                transpose=has_left_kernels(dtype, mesh),
                method="step_weights",
            )
            for config, dtype, own in zip(models, dtypes, params, strict=True)
        ]
        return tuple(steps)

    program = keep_whole(step_weights, "step_weights", (models, dtypes), mesh)
    return lambda params: SearchWeights(params, program(params))


class KeptWeights:
    """The weights of a translator's last search, most often the next one's."""

    def __init__(self, params: ModelParams) -> None:
        self._params = params
        self._last: tuple[Callable[[ModelParams], SearchWeights], SearchWeights] | None
        self._last = None

    def made_by(self, program: Callable[[ModelParams], SearchWeights]) -> SearchWeights:
        """Returns what a program of `make_weights_program` makes of the parameters."""
        last = self._last
        if last is None or last[0] is not program:
            self._last = None  # So that its memory is free.
            self._last = last = program, program(self._params)
        return last[1]
