"""Part-of-speech tags of punctuation, by which EVALB leaves it out."""

from transformer_jax.parsing.linearisation import ANY_WORD
from transformer_jax.parsing.trees import Tree

_TAGS = {
    ",": ",",
    **dict.fromkeys((".", "?", "!"), "."),
    **dict.fromkeys((":", ";", "--", "...", "\u2014"), ":"),
    **dict.fromkeys(("``", "`", "\u201c", "\u2018"), "``"),
    **dict.fromkeys(("''", "\u201d", "\u2019"), "''"),
    **dict.fromkeys(("-LRB-", "-LSB-", "-LCB-", "[", "{"), "-LRB-"),
    **dict.fromkeys(("-RRB-", "-RSB-", "-RCB-", "]", "}"), "-RRB-"),
}


def tag_punctuation(tree: Tree, leaf_symbol: str | None) -> Tree:
    """Returns the tree with the tags of punctuation where its leaves have none.

    Args:
        leaf_symbol: what a model writes for every word that tells no tags.
    """
    no_tags = (ANY_WORD, leaf_symbol)
    tags = [
        _TAGS.get(leaf.word or "", leaf.label) if leaf.label in no_tags else leaf.label
        for leaf in tree.leaves()
    ]
    return with_tags(tree, tags)


def with_tags(tree: Tree, tags: list[str]) -> Tree:
    """Returns the tree with other tags of its words, from left to right."""
    if list(tree.tags) == tags:
        return tree
    left = iter(tags)
    around: list[tuple[str, list[Tree]]] = []
    parts: list[Tree] = []
    for node, ends in tree.walk():
        if node.word is not None:
            parts.append(Tree(next(left), word=node.word))
        elif not ends:
            around.append((node.label, parts))
            parts = []
        else:
            label, outside = around.pop()
            outside.append(Tree(label, tuple(parts)))
            parts = outside
    return parts[0]
