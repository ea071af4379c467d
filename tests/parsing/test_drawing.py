"""Drawings: every label has a place of its own, and no line runs through it."""

import itertools
import random
import re
import unicodedata
from xml.etree import ElementTree

import pytest
from made_up_trees import chain, random_trees

from transformer_jax.errors import InputError
from transformer_jax.parsing.drawing import draw_tree
from transformer_jax.parsing.trees import Tree

SVG = "{http://www.w3.org/2000/svg}"
LONG = "(VERY-LONG-LABEL (VERY-LONG-LABEL (X i) (X i)) (S (LONG-LABEL (Y i)) (Z j)))"


def texts_of(drawing):
    """The texts of an SVG, each with its box (left, top, right, bottom).

    A character of DejaVu Sans Mono is 0.602 of the font's size wide; those of East
    Asia take two.
    """
    root = ElementTree.fromstring(drawing.svg)
    size = float(root.get("font-size"))
    assert (root.get("font-family"), root.get("text-anchor")) == ("monospace", "middle")
    boxes = []
    for text in root.iter(f"{SVG}text"):
        x, y = float(text.get("x")), float(text.get("y"))
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text.text)
        half = 0.602 * size * (len(text.text) + wide) / 2
        box = (x - half, y - 0.76 * size, x + half, y + 0.24 * size)
        boxes.append((text.text, box))
    return boxes


def lines_of(drawing):
    """The lines of an SVG as boxes without width or without height."""
    path = ElementTree.fromstring(drawing.svg).find(f"{SVG}path").get("d")
    steps = re.findall(r"M([\d.]+) ([\d.]+)([HV])([\d.]+)", path)
    assert "".join("M{} {}{}{}".format(*step) for step in steps) == path
    for x, y, direction, end in steps:
        x, y, end = float(x), float(y), float(end)
        if direction == "H":
            assert x <= end
            yield x, y, end, y
        else:
            assert y < end
            yield x, y, x, end


def overlap(one, other):
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )


def check(tree):
    drawing = draw_tree(tree)
    root = ElementTree.fromstring(drawing.svg)
    width, height = float(root.get("width")), float(root.get("height"))
    texts = texts_of(drawing)
    expected = [node.label or "()" for node in tree.nodes()] + list(tree.words)
    assert sorted(text for text, _ in texts) == sorted(expected)
    for _, (left, top, right, bottom) in texts:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for (one, box), (other, beside) in itertools.combinations(texts, 2):
        assert not overlap(box, beside), (one, other, str(tree))
    for line in lines_of(drawing):
        for text, box in texts:
            assert not overlap(line, box), (text, str(tree))
    words = [text for text, box in texts if box[3] == max(b[3] for _, b in texts)]
    assert tuple(words) == tree.words


def test_no_label_overlaps_another_or_a_line():
    for tree in random_trees(random.Random(8), 60):
        check(tree)


@pytest.mark.parametrize(
    "text",
    [
        "(NN word)",
        "( (S (NN 東京都の人) (NN x)))",
        LONG,
        f"(S {LONG} (X x) {LONG})",
        "(S (VERY-LONG-LABEL (X i)) (A (B (C (D i)))))",
        "(A-LABEL-OVER-THE-LEFT (X i) (B (C c) (D (E e) (F a-word-that-is-long))))",
        "(A-LABEL-OVER-THE-RIGHT (B (D (F a-word-that-is-long) (E e)) (C c)) (X i))",
        "(S " + "(NN word) " * 60 + ")",
    ],
)
def test_none_overlaps_in_odd_trees_either(text):
    check(Tree.from_text(text))


def test_texts_are_escaped():
    tree = Tree("NP", (Tree("NN", word="<&'\">"), Tree("NN", word="a\x01\ufffeb")))
    words = [text for text, _ in texts_of(draw_tree(tree))]
    assert words == ["NP", "NN", "<&'\">", "NN", "a\ufffd\ufffdb"]


def test_only_a_tree_is_drawn():
    with pytest.raises(InputError, match=r"tree is '\(S \(NN a\)\)'; expected a Tree"):
        draw_tree("(S (NN a))")


def test_it_shows_itself():
    drawing = draw_tree(Tree.from_text("(S (NN a))"))
    assert drawing._repr_svg_() == drawing.svg
    assert repr(drawing) == str(drawing) == drawing.text == "S ─ NN a"


def test_characters_hold_every_node_once():
    for tree in random_trees(random.Random(9), 60):
        rows = draw_tree(tree).text.split("\n")
        names = [
            name
            for row in rows
            for name in re.sub(r"^[│ ]*(?:[├└]─ )?", "", row).split(" ─ ")
        ]
        assert names == [
            node.label if node.word is None else f"{node.label} {node.word}"
            for node in tree.nodes()
        ]


def test_branches_lead_to_their_parts():
    tree = Tree.from_text("(TOP (S (NP (A a) (B (C c))) (VP (D d))) (. .))")
    assert draw_tree(tree).text.split("\n") == [
        "TOP",
        "├─ S",
        "│  ├─ NP",
        "│  │  ├─ A a",
        "│  │  └─ B ─ C c",
        "│  └─ VP ─ D d",
        "└─ . .",
    ]


def test_a_deep_tree_is_drawn():
    drawing = draw_tree(chain(5_000))
    assert drawing.text.count("NP") == drawing.svg.count(">NP<") == 5_000


def test_what_a_terminal_obeys_is_not_drawn():
    tree = Tree("S", (Tree("NN\x1b", word="a\x85b"), Tree("NN", word="\u2028\u202e")))
    rows = draw_tree(tree).text.splitlines()
    assert rows == ["S", "├─ NN\ufffd a\ufffdb", "└─ NN \ufffd\ufffd"]
