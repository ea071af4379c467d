"""Table 1 measured: operations, times, sequential steps and path lengths."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import jax

from transformer_jax.attention_pictures.figure import figure_bytes, load_matplotlib
from transformer_jax.errors import InputError
from transformer_jax.progress import Progress
from transformer_jax.reproduction.table_1.exponents import crossing, fit_exponents
from transformer_jax.reproduction.table_1.grid import Measurement, measure_size, select
from transformer_jax.reproduction.table_1.layers import LAYERS, Size
from transformer_jax.reproduction.table_1.page import table_1_page
from transformer_jax.reproduction.table_1.paper import FORMULAS, ROWS, product_flops
from transformer_jax.reproduction.table_1.paths import longest_path
from transformer_jax.reproduction.table_1.picture import table_1_figure
from transformer_jax.reproduction.table_1.programs import (
    DIRECTIONS,
    compile_layer,
    function_of,
    shapes_of,
)
from transformer_jax.reproduction.table_1.sequence import longest_chain
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.work_directory import (
    create_directory,
    work_directory,
    write_whole,
)


def measure_table_1(
    workdir: str | os.PathLike[str],
    *,
    lengths: Sequence[int] = (64, 128, 256, 512, 1024),
    widths: Sequence[int] = (128, 256, 512),
    restricted: int = 16,
    kernel: int = 3,
    repeats: int = 5,
    progress: bool = True,
) -> dict[str, Any]:
    """Measures the four kinds of layers, and writes the table and a picture of it.

    Each layer takes one sequence. Self-attention, restricted or not, is measured
    without its projections, as Table 1 counts it, and beside it with them. Writes
    `table_1.json`, `table_1.md`, `table_1.svg` and `table_1.png` into the directory.

    Args:
        workdir: directory for the files; it is created.
        lengths: n of the grid, at least two.
        widths: d of the grid, at least two.
        restricted: r, positions to each side that restricted self-attention sees, as
            `model.attention_window`.
        kernel: k, positions that the convolution sees.
        repeats: runs of which the median is taken.
        progress: show progress on standard error.

    Returns:
        What `table_1.json` holds.

    Raises:
        InputError: an argument is refused, the directory cannot be written, or
            matplotlib is not installed (the extra `notebook`).

    Paper: section 4, Table 1.
    """
    grid = _grid(lengths, widths, restricted, kernel)
    if repeats < 1:
        raise InputError(f"repeats={repeats} must be at least 1.")
    load_matplotlib()  # An error before the work.
    directory = work_directory(workdir)
    check_outside_parts(directory, "workdir")
    create_directory(directory)
    measurements: list[Measurement] = []
    with Progress(len(grid), "sizes", shown=progress) as bar:
        for done, size in enumerate(grid, 1):
            bar.say(f"n = {size.length}, d = {size.width}")
            measurements += measure_size(size, repeats)
            bar.show_done(done)
        bar.say("paths and sequential steps")
        result = {
            "table": 1,
            "device": jax.devices()[0].device_kind,
            "lengths": sorted(set(lengths)),
            "widths": sorted(set(widths)),
            "restricted": restricted,
            "kernel": kernel,
            "repeats": repeats,
            "rows": {name: _row(name, grid, measurements) for name in ROWS},
            "dilated_path": _paths("dilated", grid),
            "growth": _growth(grid[-1]),
            "recurrent_cells": _cells(grid[0]),
            "crossing": _crossings(measurements),
            "measurements": [dataclasses.asdict(each) for each in measurements],
        }
    figure = table_1_figure(result, measurements)
    files = {
        "json": (json.dumps(result, indent=1, allow_nan=False) + "\n").encode(),
        "md": table_1_page(result, measurements).encode(),
        "svg": figure_bytes(figure, "svg"),
        "png": figure_bytes(figure, "png"),
    }
    for ending, contents in files.items():
        write_whole(directory / f"table_1.{ending}", contents)
    return result


def _grid(
    lengths: Sequence[int], widths: Sequence[int], restricted: int, kernel: int
) -> list[Size]:
    for name, values, least in (("lengths", lengths, 2), ("widths", widths, 1)):
        if len(set(values)) < 2 or min(values) < least:
            raise InputError(
                f"{name}={','.join(map(str, values))} must be two different numbers or "
                f"more, each at least {least}: exponents are fitted to them."
            )
    if restricted < 1:
        raise InputError(f"restricted={restricted} must be at least 1.")
    if kernel < 2:
        raise InputError(
            f"kernel={kernel} must be at least 2: 1 joins no two positions."
        )
    return [
        Size(length, width, restricted, kernel)
        for width in sorted(set(widths))
        for length in sorted(set(lengths))
    ]


def _row(
    name: str, grid: Sequence[Size], measurements: Sequence[Measurement]
) -> dict[str, Any]:
    """Returns a row of the table: the paper's, and what was measured."""
    fitted = {}
    for direction in DIRECTIONS:
        chosen = select(measurements, name, direction)
        exponents = fit_exponents(
            [each.length for each in chosen],
            [each.width for each in chosen],
            [each.flops for each in chosen],
        )
        fitted[direction] = dataclasses.asdict(exponents)
    return {
        "paper": dataclasses.asdict(ROWS[name]),
        "formula": FORMULAS[name],
        "exponents": fitted,
        "sequential_steps": _steps(name, grid),
        "longest_path": _paths(name, grid),
    }


def _steps(name: str, grid: Sequence[Size]) -> dict[str, int]:
    """Returns the longest chain of products, forward, by length."""
    found = {}
    for size in _at_one_width(grid):
        layer = LAYERS[name](size)
        run = function_of(layer, "forward")
        found[str(size.length)] = longest_chain(run, *shapes_of(layer))
    return found


def _paths(name: str, grid: Sequence[Size]) -> dict[str, int]:
    return {
        str(size.length): longest_path(
            name, size.length, restricted=size.restricted, kernel=size.kernel
        )
        for size in _at_one_width(grid)
    }


def _growth(size: Size) -> dict[str, float]:
    """Returns the exponents of r and k: of operations, forward, where both double."""
    found = {}
    for letter, name, setting in (
        ("r", "restricted", "restricted"),
        ("k", "convolutional", "kernel"),
    ):
        larger = dataclasses.replace(size, **{setting: 2 * getattr(size, setting)})
        flops = [
            compile_layer(LAYERS[name](each), "forward").flops
            for each in (size, larger)
        ]
        ones = [1, 1]
        sizes = [getattr(each, setting) for each in (size, larger)]
        found[letter] = fit_exponents(sizes, ones, flops).length
    return found


def _cells(size: Size) -> dict[str, dict[str, Any]]:
    """Returns what other cells of recurrent layers cost, at one size."""
    return {
        name: {
            "formula": FORMULAS[name],
            "length": size.length,
            "width": size.width,
            "formula_flops": product_flops(name, size),
            "product_flops": compile_layer(LAYERS[name](size), "forward").product_flops,
        }
        for name in ("recurrent", "gru", "lstm")
    }


def _crossings(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Returns from which length on self-attention costs more than recurrence."""
    found = []
    for width in sorted({each.width for each in measurements}):
        for direction in DIRECTIONS:
            attention = select(measurements, "self_attention", direction, width)
            recurrent = select(measurements, "recurrent", direction, width)
            by = {
                quantity: crossing(
                    [each.length for each in attention],
                    [getattr(each, quantity) for each in attention],
                    [getattr(each, quantity) for each in recurrent],
                )
                for quantity in ("flops", "seconds")
            }
            found.append({"width": width, "direction": direction, **by})
    return found


def _at_one_width(grid: Sequence[Size]) -> list[Size]:
    return [size for size in grid if size.width == grid[0].width]
