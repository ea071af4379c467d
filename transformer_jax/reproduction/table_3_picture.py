"""Table 3 as a picture: each row's difference to base, the paper's beside ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformer_jax.attention_pictures.figure import figure_bytes, load_matplotlib

_PAPER, _OURS = "#8a8f98", "#1f5fbf"
_KINDS = (
    ("score", "BLEU, difference to base"),
    ("perplexity", "perplexity, ratio to base"),
)


def draw_table_3(rows: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Returns an SVG. Without a row base, the values themselves are drawn.

    Raises:
        InputError: matplotlib is not installed (the extra `notebook`).
    """
    base = next((row for row in rows if row["row"] == "base"), None)
    figure = load_matplotlib().figure.Figure(
        figsize=(8, 1.2 + 0.27 * len(rows)), layout="constrained"
    )
    axes = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    for axis, (name, title) in zip(axes, _KINDS, strict=True):
        paper = [_relative(row, base, f"paper_{name}", name) for row in rows]
        ours = [_relative(row, base, name, name) for row in rows]
        spread = [_spread(row, base, name) for row in rows]
        axis.hlines(places, paper, ours, color="#d5d8dd", linewidth=1, zorder=1)
        axis.scatter(paper, places, color=_PAPER, marker="|", s=90, label="paper")
        axis.errorbar(
            ours, places, xerr=spread, color=_OURS, fmt="o", markersize=4, label="ours"
        )
        if base is not None:
            axis.axvline(float(name == "perplexity"), color="black", linewidth=0.5)
        axis.set_xlabel(title if base is not None else title.split(",")[0])
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize="medium")
    axes[0].set_yticks(places, [row["row"] for row in rows])
    axes[0].invert_yaxis()
    axes[1].legend(frameon=False)
    return figure_bytes(figure, "svg")


def _relative(
    row: Mapping[str, Any], base: Mapping[str, Any] | None, field: str, kind: str
) -> float:
    """Returns a value relative to that of base."""
    value: float = row[field]
    if base is None:
        return value
    reference: float = base[field]
    return value / reference if kind == "perplexity" else value - reference


def _spread(row: Mapping[str, Any], base: Mapping[str, Any] | None, kind: str) -> float:
    """Returns the standard deviation over seeds, 0 where it is not known."""
    deviation: float = row[f"{kind}_deviation"] or 0.0
    if base is None or kind == "score":
        return deviation
    reference: float = base[kind]
    return deviation / reference
