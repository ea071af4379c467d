"""The four kinds of layers of Table 1 at one width, as functions to differentiate."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.attention import MultiHeadAttention, patterned_attention
from transformer_jax.model.masks import AttentionPattern

HEAD_WIDTH = 64
"""Width of a head, the paper's d_k; a width that is no multiple of it has one head."""

Tree: TypeAlias = Any
"""Arrays, or their shapes and dtypes, in containers."""


@dataclass(frozen=True)
class Size:
    """Sizes of a layer, in the letters of Table 1."""

    length: int
    """n: positions of the one sequence."""
    width: int
    """d: of the layer, in and out."""
    restricted: int
    """r: positions to each side that restricted self-attention sees."""
    kernel: int
    """k: positions that a convolution sees."""

    @property
    def num_heads(self) -> int:
        """Heads of self-attention."""
        return max(1, self.width // HEAD_WIDTH) if self.width % HEAD_WIDTH == 0 else 1


@dataclass(frozen=True)
class Layer:
    """A layer: `function(parameters, *inputs)` returns what it makes of a sequence."""

    function: Callable[..., Array]
    parameters: Tree
    """Shapes of the parameters."""
    inputs: tuple[jax.ShapeDtypeStruct, ...]

    def random_arguments(self, seed: int = 0) -> tuple[Tree, ...]:
        """Returns parameters and inputs, normal with variance 1 / width and 1."""
        rng = np.random.default_rng(seed)
        scale = self.inputs[0].shape[-1] ** -0.5

        def draw(leaf: jax.ShapeDtypeStruct) -> Array:
            return jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32)

        parameters = jax.tree.map(lambda leaf: scale * draw(leaf), self.parameters)
        return parameters, *map(draw, self.inputs)


def _scores_and_their_application(size: Size, window: int | None) -> Layer:
    """Attention between queries, keys and values that are there: no projections."""
    heads = size.num_heads
    shape = (1, size.length, heads, size.width // heads)

    def attend(_: Tree, query: Array, key: Array, value: Array) -> Array:
        return patterned_attention(query, key, value, _pattern(size, window))

    return Layer(attend, (), (jax.ShapeDtypeStruct(shape, jnp.float32),) * 3)


def _multi_head_attention(size: Size, window: int | None) -> Layer:
    """The model's own layer, with its four projections."""
    config = ModelConfig(
        d_model=size.width, num_heads=size.num_heads, positions="learned"
    )
    module = MultiHeadAttention(config)

    def attend(parameters: Tree, x: Array) -> Array:
        pattern = _pattern(size, window)
        attended: Any = module.apply(parameters, x, x, pattern, deterministic=True)
        return jnp.asarray(attended)

    x = _sequence(size)
    shapes = jax.eval_shape(
        lambda rng, x: module.init(
            rng, x, x, _pattern(size, window), deterministic=True
        ),
        jax.random.key(0),
        x,
    )
    return Layer(attend, nn.meta.unbox(shapes), (x,))


def _pattern(size: Size, window: int | None) -> AttentionPattern:
    segments = jnp.ones((1, size.length), jnp.int32)
    return AttentionPattern(segments, segments, window=window)


def _of_module(module: nn.Module, size: Size) -> Layer:
    x = _sequence(size)

    def apply(parameters: Tree, x: Array) -> Array:
        made: Any = module.apply(parameters, x)
        return jnp.asarray(made)

    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    return Layer(apply, shapes, (x,))


def _sequence(size: Size) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, size.length, size.width), jnp.float32)


def convolution(size: Size, dilation: int = 1) -> Layer:
    """Returns `nn.Conv`: a position sees itself and the `k - 1` before it.

    Args:
        dilation: distance between the positions seen.
    """
    module = nn.Conv(
        size.width, (size.kernel,), padding="CAUSAL", kernel_dilation=(dilation,)
    )
    return _of_module(module, size)


def _recurrence(cell: Callable[[int], nn.RNNCellBase], size: Size) -> Layer:
    """Flax's cells compute both products, of input and state, in each step."""
    return _of_module(nn.RNN(cell(size.width)), size)


LAYERS: Mapping[str, Callable[[Size], Layer]] = {
    "self_attention": lambda size: _scores_and_their_application(size, None),
    "recurrent": functools.partial(_recurrence, nn.SimpleCell),
    "convolutional": convolution,
    "restricted": lambda size: _scores_and_their_application(size, size.restricted),
    "self_attention_whole": lambda size: _multi_head_attention(size, None),
    "restricted_whole": lambda size: _multi_head_attention(size, size.restricted),
    "gru": functools.partial(_recurrence, nn.GRUCell),
    "lstm": functools.partial(_recurrence, nn.LSTMCell),
}
"""By name: the rows of Table 1, attention with its projections, and other cells."""


def recurrent_link(size: Size) -> Layer:
    """Returns one step of the recurrence at all positions at once.

    Its inputs are the states, and the sequence: a position makes its next state of the
    state before it and of its own input. The recurrent layer is this step n times.
    """
    cell = nn.SimpleCell(size.width)
    x = _sequence(size)

    def step(parameters: Tree, states: Array, x: Array) -> Array:
        before = jnp.pad(states[:, :-1], [(0, 0), (1, 0), (0, 0)])
        next_states: Array = cell.apply(parameters, before, x)[0]
        return next_states

    return Layer(step, jax.eval_shape(cell.init, jax.random.key(0), x, x), (x, x))
