"""Trees as sequences of tokens, which a model can write.

Paper: section 6.3, after "Grammar as a Foreign Language" (Vinyals et al., 2015).

`(S (NP NNP )NP (VP VBZ )VP )S`: a token opens each constituent with its label, a token
closes it with the same, and a word is its part-of-speech tag, or one symbol for every
word. The words themselves are those of the sentence. The top (TOP, ROOT, S1, or no
label) is not written; what it holds is, one constituent after the other.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from transformer_jax.errors import InputError
from transformer_jax.parsing.trees import TOP_LABELS, Tree, require_tree

ANY_WORD = "XX"
"""The leaf of "Grammar as a Foreign Language", in place of every tag."""

_SPACE = re.compile(r"[\s\u2581]")  # SentencePiece writes U+2581 for a space.


def linearise(tree: Tree, leaf_symbol: str | None = None) -> list[str]:
    """Returns the tokens of a tree.

    Args:
        leaf_symbol: stands for every word, as `ANY_WORD`; None = the tag of the word.

    Raises:
        InputError: it is no tree.
    """
    require_tree("tree", tree)
    tokens = []
    for node, ends in tree.walk():
        if node.is_leaf:
            tokens.append(node.label if leaf_symbol is None else leaf_symbol)
        else:
            tokens.append((")" if ends else "(") + node.label)
    is_topped = not tree.is_leaf and tree.label in TOP_LABELS
    return tokens[1:-1] if is_topped else tokens


def delinearise(
    tokens: Sequence[str],
    words: Sequence[str],
    *,
    tags: Sequence[str] | None = None,
    top_label: str = "TOP",
) -> Tree:
    """Returns the tree of tokens over the words of their sentence.

    Args:
        tags: of the words; None = the leaves of the tokens. EVALB leaves punctuation
            out by its tag, and takes a sentence with other tags for it to be another.
        top_label: of the top, which no token tells.

    Raises:
        InputError: the tokens are not well formed, or have another number of leaves
            than there are words or tags (`mending.mended_tree` takes any tokens).
    """
    require_texts("tokens", tokens)
    require_texts("words", words)
    num_leaves = sum(not token.startswith(("(", ")")) for token in tokens)
    for name, given in (("words", words), ("tags", tags)):
        if given is not None and len(given) != max(num_leaves, 1):
            raise InputError(
                f"{num_leaves} leaves for {len(given)} {name}; expected one for each, "
                "and at least one."
            )
    parts: list[Tree] = []
    around: list[tuple[str, list[Tree]]] = []  # labels, and the parts around them
    leaves = iter(range(num_leaves))
    for place, token in enumerate(tokens, start=1):
        if token.startswith("("):
            around.append((token[1:], parts))
            parts = []
        elif token.startswith(")"):
            label, outside = around.pop() if around else (None, parts)
            if label != token[1:] or not parts:
                raise InputError(
                    f"token {place} is {token!r}; expected it to close a constituent "
                    "of that label that holds a leaf."
                )
            outside.append(Tree(label, tuple(parts)))
            parts = outside
        else:
            leaf = next(leaves)
            parts.append(Tree(token if tags is None else tags[leaf], word=words[leaf]))
    if around:
        raise InputError(f"'({around[-1][0]}' is not closed; expected a token for it.")
    return Tree(top_label, tuple(parts))


def require_texts(name: str, value: Any) -> None:
    """Raises InputError unless the argument `name` is a list of texts."""
    is_list = isinstance(value, list | tuple)
    if not is_list or not all(isinstance(each, str) for each in value):
        raise InputError(f"{name}={value!r:.60} must be a list of texts.")


def symbols_of(trees: Iterable[Tree], leaf_symbol: str | None = None) -> list[str]:
    """Returns the different tokens of trees, the most frequent first.

    Those that are equally frequent are in the order of their characters.

    Args:
        leaf_symbol: as for `linearise`.

    Raises:
        InputError: one holds white space, so that no text can be made of tokens.
    """
    counts = Counter(token for tree in trees for token in linearise(tree, leaf_symbol))
    for token in counts:
        if _SPACE.search(token):
            raise InputError(
                f"the label {token.lstrip('()')!r} holds white space, or the sign for "
                "it, and so cannot be a token: rename it."
            )
    return sorted(counts, key=lambda token: (-counts[token], token))
