"""A layer compiled, forward or forward and backward, and its operations counted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from transformer_jax.cost.hlo.cost import program_cost
from transformer_jax.reproduction.table_1.layers import Layer, Tree

DIRECTIONS = ("forward", "forward_backward")


@dataclass(frozen=True)
class LayerProgram:
    """A compiled layer. It runs on the default device."""

    compiled: Callable[..., Any]
    flops: float
    """Floating point operations of any kind, exp and similar functions left out."""
    product_flops: float
    """The part of `flops` in instructions that are matrix products.

    With one sequence, the gradient of a recurrent layer's matrices is a sum of products
    of two vectors: the compiler makes multiplications of them, which are not here.
    """


def function_of(layer: Layer, direction: str) -> Callable[..., Tree]:
    """Returns what is compiled: a function of a cotangent, parameters and inputs."""

    def run(cotangent: jax.Array, *arguments: Tree) -> Tree:
        if direction == "forward":
            return layer.function(*arguments)
        made, pull_back = jax.vjp(layer.function, *arguments)
        return made, pull_back(cotangent)

    return run


def shapes_of(layer: Layer) -> tuple[Tree, ...]:
    """Returns the shapes of the cotangent, the parameters and the inputs."""
    arguments = (layer.parameters, *layer.inputs)
    return jax.eval_shape(layer.function, *arguments), *arguments


def compile_layer(layer: Layer, direction: str) -> LayerProgram:
    """Compiles a layer for the default device, and counts its operations.

    They are counted in the program for CPUs, in which every product is an instruction:
    on GPUs they are calls of a library that do not say what they compute.
    """
    jitted = jax.jit(function_of(layer, direction))
    shapes = shapes_of(layer)
    compiled = counted = jitted.lower(*shapes).compile()
    if jax.default_backend() != "cpu":
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            counted = jitted.lower(*shapes).compile()
    cost = program_cost(counted.as_text() or "")
    return LayerProgram(compiled, cost.flops, cost.matmul_flops)
