"""Figures of attention weights for print."""

import io

import numpy as np
import pytest
from attention_pictures.made_maps import made_maps

from transformer_jax.attention_pictures.figure import attention_figure, figure_bytes
from transformer_jax.errors import InputError

MAPS = made_maps()
KINDS = {"encoder": MAPS.encoder, "decoder": MAPS.decoder, "cross": MAPS.cross}


def lines_of(figure):
    """Returns (query, key) and strength of each line."""
    (axes,) = figure.axes
    return sorted(
        (*map(int, line.get_xdata()), line.get_alpha()) for line in axes.lines
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_line_is_a_weight(kind):
    found = lines_of(attention_figure(MAPS, kind, layer=0, heads=[2]))
    weights = KINDS[kind][0, 2]
    expected = [(*at, weights[tuple(at)]) for at in np.argwhere(weights >= 0.01)]
    assert [line[:2] for line in found] == [tuple(line[:2]) for line in expected]
    np.testing.assert_allclose([x[2] for x in found], [x[2] for x in expected])


def test_the_last_layer_and_all_heads_are_what_is_not_said():
    said = lines_of(attention_figure(MAPS, "cross", layer=1, heads=range(4)))
    assert lines_of(attention_figure(MAPS, "cross")) == said


def test_the_pieces_stand_above_and_below():
    (axes,) = attention_figure(MAPS, "cross").axes
    texts = sorted((*text.get_position(), text.get_text()) for text in axes.texts)
    above = [text for _, y, text in texts if y > 0]
    below = [text for _, y, text in texts if y < 0]
    assert above == ["<s>", "word0", "word1", "word2", "word3"]
    assert below[:3] == ["The", "m", "ice"]
    assert len(below) == 7


@pytest.mark.parametrize(
    ("format", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_formats(format, begins):
    contents = figure_bytes(attention_figure(MAPS), format)
    assert contents.startswith(begins)
    again = figure_bytes(attention_figure(MAPS), format)
    assert contents == again  # Without times and random names.
    if format == "svg":
        assert b"<text" not in contents  # Outlines: no font is needed.
    if format == "pdf":
        assert b"/FontFile2" in contents


def test_a_png_can_be_opened():
    image = pytest.importorskip("PIL.Image")
    opened = image.open(io.BytesIO(figure_bytes(attention_figure(MAPS), "png")))
    assert min(opened.size) > 300


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": "self"}, "kind='self' must be one of encoder, decoder, cross"),
        ({"layer": 3}, "layer=3 must be 0 to 2"),
        ({"layer": -1}, "layer=-1 must be 0 to 2"),
        ({"heads": [0, 4]}, "heads=4 must be 0 to 3"),
        ({"heads": []}, "has no head"),
        ({"maps": 3}, "maps=3 must be"),
    ],
)
def test_what_is_not_there_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        attention_figure(**{"maps": MAPS, **arguments})


def test_many_heads_have_colours_of_their_own():
    maps = made_maps(heads=16)
    (axes,) = attention_figure(maps).axes
    assert len({line.get_color() for line in axes.lines}) == 16
