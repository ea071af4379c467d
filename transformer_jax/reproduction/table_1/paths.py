"""Path lengths: through how many layers a far input reaches an output."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from transformer_jax.reproduction.table_1.layers import (
    LAYERS,
    Layer,
    Size,
    convolution,
    recurrent_link,
)

_WIDTH = 8
"""Which inputs matter does not depend on the width."""

Link: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From the outputs that are followed (bool [length]) to what their gradient reaches:
the positions to go on from, and those of the sequence itself."""


def longest_path(name: str, length: int, *, restricted: int, kernel: int) -> int:
    """Returns the links on the shortest path from the first input to the last output.

    No two positions have a longer one. A link is a layer of a stack, or one step of a
    recurrence inside the one layer. Links are followed back from the output, one at a
    time: each is differentiated at random inputs, and the positions with a gradient
    that is not zero are followed further.

    Args:
        name: `self_attention`, `recurrent`, `convolutional`, `restricted`, or
            `dilated`: convolutions whose dilation grows by the factor k.

    Paper: section 4, maximum path length.
    """
    size = Size(length, _WIDTH, restricted, kernel)
    followed = np.zeros(length, bool)
    followed[-1] = True
    for count, link in enumerate(_LINKS[name](size), 1):
        followed, reached = link(followed)
        if reached[0]:
            return count
        if count > length:
            break
    raise RuntimeError(f"{name}: the first of {length} inputs reaches no output.")


def reached_through(layer: Layer, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function: outputs (bool [length]) -> inputs with a gradient of theirs.

    The result is bool `[inputs of the layer, length]`.
    """

    @jax.jit
    def pull(cotangent: Array, *arguments: Array) -> Array:
        gradients = jax.vjp(layer.function, *arguments)[1](cotangent)[1:]
        rows = [gradient[0].reshape(len(cotangent[0]), -1) for gradient in gradients]
        return jnp.any(jnp.stack(rows) != 0, axis=-1)

    arguments = layer.random_arguments(seed)
    made = jax.eval_shape(layer.function, *arguments)
    noise = np.random.default_rng(seed + 1).standard_normal(made.shape)

    def reached(outputs: np.ndarray) -> np.ndarray:
        kept = outputs.reshape(1, -1, *[1] * (noise.ndim - 2))
        cotangent = jnp.asarray(noise * kept, jnp.float32)
        return np.asarray(pull(cotangent, *arguments))

    return reached


def _same_layers(name: str) -> Callable[[Size], Iterator[Link]]:
    def links(size: Size) -> Iterator[Link]:
        link = _link_of(LAYERS[name](size))
        while True:
            yield link

    return links


def _dilated_layers(size: Size) -> Iterator[Link]:
    dilation = 1
    while True:
        yield _link_of(convolution(size, dilation))
        dilation *= size.kernel


def _recurrent_steps(size: Size) -> Iterator[Link]:
    reached = reached_through(recurrent_link(size))

    def link(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = reached(outputs)  # Of the states, and of the sequence.
        return np.asarray(both[0]), np.asarray(both[1])

    while True:
        yield link


def _link_of(layer: Layer) -> Link:
    reached = reached_through(layer)

    def link(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positions = np.asarray(np.any(reached(outputs), axis=0))  # Of all inputs.
        return positions, positions

    return link


_LINKS: Mapping[str, Callable[[Size], Iterator[Link]]] = {
    "self_attention": _same_layers("self_attention"),
    "recurrent": _recurrent_steps,
    "convolutional": _same_layers("convolutional"),
    "dilated": _dilated_layers,
    "restricted": _same_layers("restricted"),
}
