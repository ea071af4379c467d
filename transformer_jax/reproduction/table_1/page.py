"""Table 1 as a page of Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformer_jax.reproduction.table_1.grid import ON_GRID, Measurement, select
from transformer_jax.reproduction.table_1.paper import FORMULAS, ROWS
from transformer_jax.reproduction.table_1.programs import DIRECTIONS

_TITLES = {name: row.title for name, row in ROWS.items()} | {
    "self_attention_whole": "self-attention with projections",
    "restricted_whole": "restricted with projections",
}
_SHOWN = {"forward": "forward", "forward_backward": "forward and backward"}


def table_1_page(result: Mapping[str, Any], measurements: Sequence[Measurement]) -> str:
    """Returns the page: the paper's table beside the measured one, and the numbers."""
    parts = [
        "# Table 1, measured",
        f"One layer and one sequence, float32, on {result['device']}; k = "
        f"{result['kernel']}, r = {result['restricted']} positions to each side. "
        "Exponents are fitted to all operations that the compiled programs run. "
        "Self-attention is counted as in the paper, without its four projections, "
        "which cost 8 n d^2 more.",
        _comparison(result),
        _notes(result),
        "![operations and time by length](table_1.png)",
        "## From which length on self-attention costs more than recurrence",
        _crossings(result),
        *_grids(measurements),
    ]
    return "\n\n".join(parts) + "\n"


def _comparison(result: Mapping[str, Any]) -> str:
    lines = []
    for name, row in result["rows"].items():
        paper, exponents = row["paper"], row["exponents"]
        lines.append([
            paper["title"],
            paper["complexity"],
            FORMULAS[name],
            *(
                f"n^{exponents[each]['length']:.2f} d^{exponents[each]['width']:.2f}"
                for each in DIRECTIONS
            ),
            paper["sequential"],
            _by_length(row["sequential_steps"]),
            paper["path"],
            _by_length(row["longest_path"]),
        ])  # fmt: skip
    lengths = ", ".join(map(str, result["lengths"]))
    heads = [
        "layer", "paper", "products", "forward", "forward and backward",
        "sequential, paper", "longest chain of products", "path, paper", "longest path",
    ]  # fmt: skip
    return f"{_table(heads, lines)}\n\nChains and paths are for n = {lengths}."


def _notes(result: Mapping[str, Any]) -> str:
    growth = result["growth"]
    cells = ", ".join(
        f"{name} {cell['formula']} ({cell['product_flops'] / 1e6:.3g} MFLOP at n = "
        f"{cell['length']}, d = {cell['width']})"
        for name, cell in result["recurrent_cells"].items()
    )
    return (
        f"Where r doubles, operations grow as r^{growth['r']:.2f}; where k doubles, as "
        f"k^{growth['k']:.2f}. With dilations 1, k, k^2, ... the longest path of "
        f"convolutions is {_by_length(result['dilated_path'])}; without, they need "
        f"(n - 1) / (k - 1) layers. Recurrent cells, forward: {cells}."
    )


def _crossings(result: Mapping[str, Any]) -> str:
    def shown(length: float | None) -> str:
        return "outside the grid" if length is None else f"{length:.0f}"

    return _table(
        ["d", "direction", "by operations, n =", "by time, n ="],
        [
            [
                str(each["width"]),
                _SHOWN[each["direction"]],
                shown(each["flops"]),
                shown(each["seconds"]),
            ]
            for each in result["crossing"]
        ],
    )


def _grids(measurements: Sequence[Measurement]) -> Iterable[str]:
    """Yields a table of each direction: MFLOP, milliseconds, GFLOP/s by size."""
    for direction in DIRECTIONS:
        columns = [select(measurements, name, direction) for name in ON_GRID]
        lines = [
            [
                str(row[0].length),
                str(row[0].width),
                *(
                    f"{each.flops / 1e6:.3g} / {each.seconds * 1e3:.3g} / "
                    f"{each.gflops_per_second:.3g}"
                    for each in row
                ),
            ]
            for row in zip(*columns, strict=True)
        ]
        yield f"## {_SHOWN[direction].capitalize()}: MFLOP / milliseconds / GFLOP/s"
        yield _table(["n", "d", *(_TITLES[name] for name in ON_GRID)], lines)


def _by_length(numbers: Mapping[str, int]) -> str:
    """Returns one number where all are equal."""
    values = list(numbers.values())
    return ", ".join(map(str, values if len(set(values)) > 1 else values[:1]))


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
