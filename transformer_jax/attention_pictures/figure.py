"""Attention weights as a figure for print, in the style of the paper's appendix."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from transformer_jax.attention_pictures.attended_pair import AttentionKind
from transformer_jax.errors import InputError
from transformer_jax.translation.attention_maps import AttentionMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureFormat: TypeAlias = Literal["png", "svg", "pdf"]

# Inches.
_COLUMN = 0.22
_LINES = 1.6
_LETTER = 0.085
_BAR = 0.06  # height of the squares of each head beside a word

_FEW_HEADS = 10  # Colours that are told apart well; more heads share a rainbow.

# Weights below this are not drawn: hundreds of lines that nobody sees.
_LEAST = 0.01


def attention_figure(
    maps: AttentionMaps,
    kind: AttentionKind = "encoder",
    layer: int | None = None,
    heads: Sequence[int] | None = None,
) -> "Figure":
    """Returns a matplotlib figure of one layer: the pieces twice, a line a weight.

    The pieces that attend stand above, what they attend to below; the stronger a line,
    the larger its weight, and each head has a colour.

    Args:
        maps: what `Translator.attention` returns.
        kind: which attention: of the encoder, of the decoder, or from the decoder to
            the encoder.
        layer: counted from 0; None = the last.
        heads: counted from 0; None = all.

    Raises:
        InputError: there is no such kind, layer or head; or matplotlib is not installed
            (the extra `notebook`).

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> maps = translator.attention("A house.", "Ein Haus.")
        >>> figure = tj.attention_figure(maps, "cross", layer=0, heads=[0])
        >>> len(figure.axes)
        1

    Paper: figures 3 to 5.
    """
    weights, queries, keys = _of_kind(maps, kind)
    layer, chosen = choose_heads(weights.shape[0], weights.shape[1], layer, heads)
    matplotlib = load_matplotlib()
    number = weights.shape[1]
    colours = matplotlib.colormaps["tab10" if number <= _FEW_HEADS else "hsv"]
    columns = max(len(queries), len(keys))
    letters = max(map(len, [*queries, *keys])) * _LETTER
    size = (columns * _COLUMN + 0.2, _LINES + 2 * letters + 0.2)
    figure: Figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    bars = _BAR * len(chosen)
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(-bars, _LINES + bars)
    for place, head in enumerate(chosen):
        colour = colours(head if number <= _FEW_HEADS else head / number)
        _draw_head(axes, weights[layer, head], colour, place)
    text: dict[str, Any] = {"rotation": 90, "ha": "center", "fontsize": 9}
    for index, piece in enumerate(queries):
        axes.text(index, _LINES + bars + 0.04, _shown(piece), va="bottom", **text)
    for index, piece in enumerate(keys):
        axes.text(index, -bars - 0.04, _shown(piece), va="top", **text)
    return figure


def figure_bytes(figure: "Figure", format: FigureFormat) -> bytes:
    """Returns a figure as a file of a format, its letters inside it.

    The same figure has the same bytes, so that files can be compared.

    Raises:
        InputError: matplotlib is not installed.
    """
    file = io.BytesIO()
    # Letters as outlines in SVG, and as a TrueType font in PDF, which publishers want.
    inside = {
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
        "svg.hashsalt": "transformer_jax",
    }
    metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with load_matplotlib().rc_context(inside):
        figure.savefig(
            file, format=format, dpi=200, bbox_inches="tight", metadata=metadata[format]
        )
    return file.getvalue()


def _of_kind(
    maps: AttentionMaps, kind: AttentionKind
) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns weights `[layers, heads, query, key]`, and the pieces of both axes."""
    if not isinstance(maps, AttentionMaps):
        raise InputError(
            f"maps={maps!r:.60} must be what Translator.attention returns."
        )
    source, target = maps.source_pieces, maps.target_pieces
    kinds = {
        "encoder": (maps.encoder, source, source),
        "decoder": (maps.decoder, target, target),
        "cross": (maps.cross, target, source),
    }
    if kind not in kinds:
        raise InputError(f"kind={kind!r:.60} must be one of {', '.join(kinds)}.")
    return kinds[kind]


def choose_heads(
    num_layers: int, num_heads: int, layer: int | None, heads: Sequence[int] | None
) -> tuple[int, list[int]]:
    """Returns the layer and the heads of a picture: the last and all, if not given.

    Raises:
        InputError: there are no such.
    """
    layer = num_layers - 1 if layer is None else layer
    chosen = list(range(num_heads)) if heads is None else list(heads)
    if layer not in range(num_layers):
        raise InputError(f"layer={layer!r:.60} must be 0 to {num_layers - 1}.")
    for head in chosen:
        if head not in range(num_heads):
            raise InputError(f"heads={head!r:.60} must be 0 to {num_heads - 1}.")
    if not chosen:
        raise InputError("heads=[] has no head: name one at least.")
    return layer, chosen


def _draw_head(axes: Any, weights: np.ndarray, colour: Any, place: int) -> None:
    """Draws lines of one head, and squares beside the pieces that they join."""
    for query, key in np.argwhere(weights >= _LEAST):
        axes.plot(
            (query, key),
            (_LINES, 0),
            color=colour,
            alpha=float(min(weights[query, key], 1)),
            linewidth=1.4,
            solid_capstyle="butt",
        )
    received = weights.max(0)
    top, bottom = _LINES + place * _BAR, -(place + 1) * _BAR
    axes.bar(range(weights.shape[0]), _BAR, 0.8, bottom=top, color=colour, alpha=0.8)
    for key, most in enumerate(received):
        axes.bar(key, _BAR, 0.8, bottom=bottom, color=colour, alpha=float(min(most, 1)))


def _shown(piece: str) -> str:
    """Returns a piece for print: without the sign of a word's beginning."""
    return piece.removeprefix("▁") or "␣"


def load_matplotlib() -> Any:
    """Returns matplotlib, its figures loaded.

    Raises:
        InputError: it is not installed (the extra `notebook`).
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise InputError(
            "figures need matplotlib, which is not installed: pip install matplotlib."
        ) from None
    return matplotlib
