"""Drawings of trees, in characters and as SVG."""

import html
import re
import unicodedata
from dataclasses import dataclass

from transformer_jax.parsing.trees import Tree, require_tree

# Lengths in pixels. A character of any monospaced font is narrower than this.
_FONT_SIZE = 13
_CHARACTER = 8
_GAP = 12
_ROW = 34
_WORD_ROW = 18
_MARGIN = 10
_ABOVE = 13  # from a baseline to where lines to it end
_BELOW = 5  # from a baseline to where lines from it begin
_BAR = 11  # from a baseline to the bar over the parts

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What a terminal does not show or obeys: control characters, ends of lines, directions.
_NO_LETTER = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, repr=False)
class TreeDrawing:
    """A tree as a picture: SVG in a notebook, characters where it is printed."""

    text: str
    """A constituent a line, its parts below it; one with a single part shares its
    line."""
    svg: str
    """All words on one line, the constituents above them."""

    def __repr__(self) -> str:
        """Returns the drawing in characters."""
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg


def draw_tree(tree: Tree) -> TreeDrawing:
    """Returns a drawing of a tree: in a notebook it shows itself.

    Raises:
        InputError: it is no `Tree`.

    Example:
        >>> tree = tj.Tree.from_text("(S (NP (DT The) (NN cat)) (VP (VBZ sleeps)))")
        >>> print(tj.draw_tree(tree))
        S
        ├─ NP
        │  ├─ DT The
        │  └─ NN cat
        └─ VP ─ VBZ sleeps
        >>> tj.draw_tree(tree).svg[:4]
        '<svg'
    """
    require_tree("tree", tree)
    return TreeDrawing(_draw_text(tree), _draw_svg(tree))


def _name(tree: Tree) -> str:
    """Returns what is drawn for the label of a tree, which may be empty."""
    return tree.label or "()"


def _draw_text(tree: Tree) -> str:
    lines = []
    left = [(tree, "", "", "")]
    while left:
        node, indent, branch, below = left.pop()
        names = [_name(node)]
        while len(node.children) == 1:
            (node,) = node.children
            names.append(_name(node))
        word = f" {node.word}" if node.is_leaf else ""
        text = _NO_LETTER.sub("\ufffd", f"{' ─ '.join(names)}{word}")
        lines.append(f"{indent}{branch}{text}")
        parts = [(part, indent + below, "├─ ", "│  ") for part in node.children]
        if parts:
            parts[-1] = (node.children[-1], indent + below, "└─ ", "   ")
        left += reversed(parts)
    return "\n".join(lines)


@dataclass
class _Box:
    """The place of a tree in a drawing, which no other tree beside it enters."""

    tree: Tree
    parts: list["_Box"]
    width: int
    height: int
    """Rows above those of the tags."""
    left: float = 0.0
    x: float = 0.0
    """Middle of its label."""


def _draw_svg(tree: Tree) -> str:
    top = _measure(tree)
    boxes = _place(top)
    width = top.width + 2 * _MARGIN
    height = _FONT_SIZE + _ROW * top.height + _WORD_ROW + 2 * _MARGIN
    lines, labels = [], []
    for box in boxes:
        y = _baseline(box, top)
        name, word = _name(box.tree), box.tree.word
        if word is not None:
            labels.append(_label(box.x, y, name, ' fill-opacity="0.6"'))
            labels.append(_label(box.x, y + _WORD_ROW, word))
        else:
            labels.append(_label(box.x, y, name, ' font-weight="bold"'))
        if box.parts:
            bar, across = y + _BAR, [box.x, *(part.x for part in box.parts)]
            lines.append(f"M{box.x:g} {y + _BELOW}V{bar}")
            lines.append(f"M{min(across):g} {bar}H{max(across):g}")
            lines += [
                f"M{part.x:g} {bar}V{_baseline(part, top) - _ABOVE}"
                for part in box.parts
            ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" '
        f'font-size="{_FONT_SIZE}" text-anchor="middle" fill="currentColor">'
        f'<path d="{"".join(lines)}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.4"/>{"".join(labels)}</svg>'
    )


def _baseline(box: _Box, top: _Box) -> int:
    return _MARGIN + _FONT_SIZE + _ROW * (top.height - box.height)


def _label(x: float, y: int, text: str, style: str = "") -> str:
    text = html.escape(_NOT_XML.sub("\ufffd", text))
    return f'<text x="{x:g}" y="{y}"{style}>{text}</text>'


def _measure(tree: Tree) -> _Box:
    """Returns the boxes of a tree, with their sizes."""
    around: list[list[_Box]] = []
    boxes: list[_Box] = []
    for node, ends in tree.walk():
        if not ends:
            around.append(boxes)
            boxes = []
        elif node.word is not None:
            width = max(_label_width(node), _text_width(node.word))
            boxes.append(_Box(node, [], width, 0))
        else:
            parts, boxes = boxes, around.pop()
            width = max(_label_width(node), _parts_width(parts))
            height = 1 + max(part.height for part in parts)
            boxes.append(_Box(node, parts, width, height))
    return boxes[0]


def _place(top: _Box) -> list[_Box]:
    """Gives every box its place; returns all, each before its parts."""
    top.left = _MARGIN
    boxes = []
    unplaced = [top]
    while unplaced:
        box = unplaced.pop()
        boxes.append(box)
        left = box.left + (box.width - _parts_width(box.parts)) / 2
        for part in box.parts:
            part.left = left
            left += part.width + _GAP
        unplaced += reversed(box.parts)
    for box in reversed(boxes):
        box.x = box.left + box.width / 2
        if box.parts:  # Over the middle of its parts, as far as its label has room.
            half = _label_width(box.tree) / 2
            middle = (box.parts[0].x + box.parts[-1].x) / 2
            box.x = min(max(middle, box.left + half), box.left + box.width - half)
    return boxes


def _parts_width(parts: list[_Box]) -> int:
    return sum(part.width for part in parts) + _GAP * (len(parts) - 1)


def _label_width(tree: Tree) -> int:
    return _text_width(_name(tree))


def _text_width(text: str) -> int:
    """Returns an upper bound for the width of a text."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return _CHARACTER * (len(text) + wide)
