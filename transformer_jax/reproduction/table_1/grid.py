"""Operations and times of every layer at every length and width."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from transformer_jax.reproduction.table_1.layers import LAYERS, Layer, Size
from transformer_jax.reproduction.table_1.paper import ROWS, product_flops
from transformer_jax.reproduction.table_1.programs import (
    DIRECTIONS,
    LayerProgram,
    compile_layer,
    shapes_of,
)
from transformer_jax.reproduction.table_1.times import median_seconds

ON_GRID = (*ROWS, "self_attention_whole", "restricted_whole")
"""The layers that are measured at each size."""


@dataclass(frozen=True)
class Measurement:
    """A layer at one size, forward or forward and backward."""

    layer: str
    direction: str
    length: int
    width: int
    flops: float
    """Counted in the compiled program, operations of any kind."""
    product_flops: float
    """Counted, in instructions that are matrix products."""
    formula_flops: int
    """Of the matrix products, by hand."""
    seconds: float
    """The median."""
    gflops_per_second: float
    """`flops` by `seconds`."""


def measure_size(size: Size, repeats: int) -> list[Measurement]:
    """Returns the measurements of all layers at one size."""
    programs: dict[tuple[str, str], LayerProgram] = {}
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    for name in ON_GRID:
        layer = LAYERS[name](size)
        arguments = _arguments(layer)
        for direction in DIRECTIONS:
            program = compile_layer(layer, direction)
            programs[name, direction] = program
            runs[name, direction] = functools.partial(program.compiled, *arguments)
    seconds = median_seconds(runs, repeats)
    return [
        Measurement(
            layer=name,
            direction=direction,
            length=size.length,
            width=size.width,
            flops=program.flops,
            product_flops=program.product_flops,
            formula_flops=formula_flops(name, direction, size),
            seconds=seconds[name, direction],
            gflops_per_second=program.flops / seconds[name, direction] / 1e9,
        )
        for (name, direction), program in programs.items()
    ]


def formula_flops(name: str, direction: str, size: Size) -> int:
    """Returns the operations of the matrix products of a layer, by hand."""
    return product_flops(name, size) * (1 if direction == "forward" else 3)


def select(
    measurements: Sequence[Measurement],
    layer: str,
    direction: str,
    width: int | None = None,
) -> list[Measurement]:
    """Returns the measurements of a layer; of one width, in the order of length."""
    return list(_chosen(measurements, layer, direction, width))


def _chosen(
    measurements: Sequence[Measurement], layer: str, direction: str, width: int | None
) -> Iterator[Measurement]:
    for each in sorted(measurements, key=lambda each: (each.width, each.length)):
        is_wanted = (each.layer, each.direction) == (layer, direction)
        if is_wanted and width in (None, each.width):
            yield each


def _arguments(layer: Layer) -> tuple[Any, ...]:
    made = shapes_of(layer)[0]
    return jnp.ones(made.shape, made.dtype), *layer.random_arguments()
