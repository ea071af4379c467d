"""What parsers and EVALB's users take away from the trees of the Penn Treebank."""

import functools
import re
from dataclasses import dataclass

from transformer_jax.errors import InputError
from transformer_jax.parsing.trees import TOP_LABELS, Tree, is_fit

TRACE = "-NONE-"
"""The tag of what is not written in the sentence."""

# Nothing in -LRB-, -NONE- and their like, which begin with what ends other labels.
_CATEGORY = re.compile(r"[^-=|]+")


@dataclass(frozen=True)
class TreeCleaning:
    """What is taken away from trees.

    Words stay as the treebank has them, with -LRB- for a bracket, and so do unary
    chains.

    Raises:
        InputError: a value of the wrong type, or a top label that is none.

    Example:
        >>> tj.TreeCleaning(top_label=None).remove_traces
        True
    """

    remove_traces: bool = True
    """Leaves with the tag -NONE-, and constituents that hold nothing else."""
    remove_functions: bool = True
    """Function tags, indices and alternatives: NP-SBJ-1, S=2 and ADVP|PRT become NP, S
    and ADVP. Labels that begin so, as the tags -LRB- and -NONE-, stay whole."""
    merge_repeated: bool = False
    """A constituent whose only part has its own label, as in (NP (NP ...)), becomes
    one with it."""
    top_label: str | None = "TOP"
    """Label of the top of every tree, in place of none, TOP, ROOT or S1, which EVALB
    would count unless its settings delete them. None = the tops stay as they are."""

    def __post_init__(self) -> None:
        """Raises InputError for a value of the wrong type, or a label that is none."""
        for name in ("remove_traces", "remove_functions", "merge_repeated"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name}={getattr(self, name)!r:.40} must be a bool.")
        top = self.top_label
        if top is not None and not (isinstance(top, str) and is_fit(top)):
            raise InputError(
                f"top_label={top!r:.40} must be a label without white space or "
                "brackets, or None."
            )


def clean_tree(tree: Tree, cleaning: TreeCleaning) -> Tree | None:
    """Returns a tree without what the settings take away; None if nothing is left."""
    around: list[list[Tree]] = []
    parts: list[Tree] = []
    for node, ends in tree.walk():
        if not ends:
            around.append(parts)
            parts = []
            continue
        if node.is_leaf:
            if not (cleaning.remove_traces and node.label == TRACE):
                parts.append(_relabel(node, node.children, cleaning))
            continue
        inside, parts = parts, around.pop()
        if inside:
            parts.append(_relabel(node, tuple(inside), cleaning))
    if not parts:
        return None
    (cleaned,) = parts
    top = cleaning.top_label
    return cleaned if top is None else with_top(cleaned, top)


def with_top(tree: Tree, label: str) -> Tree:
    """Returns a tree with a top of this label, in place of the one it may have."""
    if tree.is_leaf or tree.label not in TOP_LABELS:
        return Tree(label, (tree,))
    while len(tree.children) == 1:  # A top in a top, as of two tools in turn.
        (inside,) = tree.children
        if inside.is_leaf or inside.label not in TOP_LABELS:
            break
        tree = inside
    return tree if tree.label == label else Tree(label, tree.children)


def _relabel(node: Tree, parts: tuple[Tree, ...], cleaning: TreeCleaning) -> Tree:
    """Returns a node with other parts, and what the settings leave of its label."""
    label = _category(node.label) if cleaning.remove_functions else node.label
    if cleaning.merge_repeated and len(parts) == 1 and not parts[0].is_leaf:
        (part,) = parts
        if part.label == label:
            return part
    # Most are as they were: one tree in memory for both.
    if label == node.label and [*map(id, parts)] == [*map(id, node.children)]:
        return node
    return Tree(label, parts, node.word)


@functools.cache
def _category(label: str) -> str:
    match = _CATEGORY.match(label)
    return match[0] if match else label
