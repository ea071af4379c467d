"""Table 1 as a picture: costs by length, and where n = d."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transformer_jax.attention_pictures.figure import load_matplotlib
from transformer_jax.reproduction.table_1.grid import Measurement, select
from transformer_jax.reproduction.table_1.paper import ROWS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("tab:blue", "tab:red", "tab:green", "tab:purple")
_DIRECTION = "forward_backward"
# Quantity, what is written at its axis, and units in one unit of the measurement.
_QUANTITIES = (("flops", "GFLOP", 1e-9), ("seconds", "milliseconds", 1e3))
_MOST = 4.0  # Ratios are coloured up to 2 to the power of it.


def table_1_figure(
    result: Mapping[str, Any], measurements: Sequence[Measurement]
) -> "Figure":
    """Returns a matplotlib figure of the costs, forward and backward.

    Above, operations and time by length at the width in the middle, both axes
    logarithmic: the slopes are the exponents of n, and a line stands at n = d. Below,
    self-attention by recurrence at each length and width, with the diagonal n = d.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure: Figure = load_matplotlib().figure.Figure(
        figsize=(10, 8), layout="constrained"
    )
    panels = figure.subplots(2, 2)
    widths = result["widths"]
    for column, quantity in enumerate(_QUANTITIES):
        _draw_lines(panels[0, column], result, measurements, quantity)
        _draw_ratios(panels[1, column], result, measurements, quantity[0])
    figure.legend(
        handles=panels[0, 0].lines[: len(ROWS)], loc="outside lower center", ncols=2,
        fontsize=9, title="operations: the paper's, and the fitted exponents",
    )  # fmt: skip
    figure.suptitle(
        "Table 1, measured: one layer, forward and backward, one sequence "
        f"(k = {result['kernel']}, r = {result['restricted']}, d = {min(widths)} to "
        f"{max(widths)})",
        fontsize=11,
    )
    return figure


def _draw_lines(
    axes: Any,
    result: Mapping[str, Any],
    measurements: Sequence[Measurement],
    quantity: tuple[str, str, float],
) -> None:
    name, unit, scale = quantity
    width = result["widths"][(len(result["widths"]) - 1) // 2]
    for layer, colour in zip(ROWS, _COLOURS, strict=True):
        chosen = select(measurements, layer, _DIRECTION, width)
        row = ROWS[layer]
        exponents = result["rows"][layer]["exponents"][_DIRECTION]
        fitted = f"n^{exponents['length']:.2f} d^{exponents['width']:.2f}"
        axes.plot(
            [each.length for each in chosen],
            [scale * getattr(each, name) for each in chosen],
            marker="o",
            color=colour,
            label=f"{row.title}, {row.complexity}: {fitted}",
        )
    axes.axvline(width, color="black", linestyle=":", linewidth=1)
    axes.text(width, 0.02, " n = d", transform=axes.get_xaxis_transform(), fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(result["lengths"], map(str, result["lengths"]))
    axes.set_xlabel("length n")
    axes.set_ylabel(unit)
    what = "operations of the compiled program" if name == "flops" else "time"
    axes.set_title(f"{what}, d = {width}", fontsize=10)
    axes.grid(alpha=0.3)


def _draw_ratios(
    axes: Any,
    result: Mapping[str, Any],
    measurements: Sequence[Measurement],
    name: str,
) -> None:
    """Draws self-attention by recurrence, red where self-attention costs more."""
    lengths, widths = result["lengths"], result["widths"]
    ratios = np.array([
        [
            getattr(attention, name) / getattr(recurrent, name)
            for attention, recurrent in zip(
                select(measurements, "self_attention", _DIRECTION, width),
                select(measurements, "recurrent", _DIRECTION, width),
                strict=True,
            )
        ]
        for width in widths
    ])  # fmt: skip
    axes.imshow(
        np.log2(ratios), cmap="coolwarm", vmin=-_MOST, vmax=_MOST, origin="lower",
        aspect="auto",
    )  # fmt: skip
    for (row, column), ratio in np.ndenumerate(ratios):
        axes.text(column, row, f"{ratio:.2g}", ha="center", va="center", fontsize=9)
    _draw_diagonal(axes, lengths, widths)
    axes.set_xticks(range(len(lengths)), map(str, lengths))
    axes.set_yticks(range(len(widths)), map(str, widths))
    axes.set_xlabel("length n")
    axes.set_ylabel("width d")
    what = "operations" if name == "flops" else "time"
    axes.set_title(
        f"{what} of self-attention by recurrence; dotted: n = d", fontsize=10
    )


def _draw_diagonal(axes: Any, lengths: Sequence[int], widths: Sequence[int]) -> None:
    """Draws n = d, where the sizes on the axes are equally far apart."""
    low, high = max(lengths[0], widths[0]), min(lengths[-1], widths[-1])
    if low > high:
        return
    values = np.exp(np.linspace(np.log(low), np.log(high), 50))
    places = [
        np.interp(np.log(values), np.log(sizes), range(len(sizes)))
        for sizes in (lengths, widths)
    ]
    axes.plot(*places, color="black", alpha=0.5, linestyle=":")
