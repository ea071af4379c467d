"""Shapes and number of parameters, without creating them."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer


@functools.lru_cache(maxsize=32)
def abstract_boxes(config: ModelConfig) -> Params:
    """Returns the parameters in boxes with the names of their axes.

    In place of arrays they have `jax.ShapeDtypeStruct`. Whoever asks for the same model
    gets the same tree: it is traced once.
    """
    tokens = jnp.zeros((1, 1), jnp.int32)

    def init(rng: jax.Array) -> Params:
        return Transformer(config).init(rng, tokens, tokens, deterministic=True)

    variables: dict[str, Params] = jax.eval_shape(init, jax.random.key(0))
    return variables["params"]


def abstract_params(config: ModelConfig) -> Params:
    """Returns the parameters with `jax.ShapeDtypeStruct` in place of arrays."""
    params: Params = nn.unbox(abstract_boxes(config))
    return params


def shapes_of(params: PyTree) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by its path."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


@functools.lru_cache(maxsize=8)
def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter of a model by its path."""
    return shapes_of(abstract_params(config))


def find_misfit(params: PyTree, expected: dict[str, tuple[int, ...]]) -> str | None:
    """Returns where parameters are not those of a model; None if they are.

    Args:
        params: arrays, or anything with a shape.
        expected: the model's `expected_shapes`.
    """
    found = shapes_of(params)
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            if name not in found:
                return f"the parameter {name} is missing"
            if name not in expected:
                return f"the parameter {name} is not one of this model"
            return (
                f"the parameter {name} has the shape {found[name]}, its settings say "
                f"{expected[name]}"
            )
    return None


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """Returns the number of parameters of each block: embeddings, encoder, decoder.

    Paper: last column of Table 3.
    """
    return {
        block: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        for block, params in abstract_params(config).items()
    }
