"""Well-formed trees from any sequence of tokens, by rules.

A search that does not keep to the grammar of brackets may write anything. From left to
right:

1. An opening token opens a constituent.
2. A closing token closes the innermost open constituent of its label, and all that are
   open inside it. If none of its label is open it closes the innermost one, and if none
   is open at all it is dropped.
3. Leaves beyond the number of words are dropped.
4. At the end all open constituents are closed.
5. Words without a leaf become leaves `XX` at the end of the outermost constituent that
   is open when the tokens end, or else of the last one.
6. Constituents that hold no leaf are dropped.
7. If no constituent is left, one `S` holds all leaves.

A label or tag that cannot be written between brackets is dropped, or is `XX`. Tokens
that are well formed stay as they are, also those of a tree without constituents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformer_jax.errors import InputError
from transformer_jax.parsing.linearisation import ANY_WORD, delinearise, require_texts
from transformer_jax.parsing.trees import Tree, is_fit

_SENTENCE = "S"


@dataclass(frozen=True)
class MendedTree:
    """A tree made from tokens of a model."""

    tree: Tree
    was_mended: bool
    """Whether the tokens were not those of a tree over the words."""


def mended_tree(
    tokens: Sequence[str],
    words: Sequence[str],
    *,
    tags: Sequence[str] | None = None,
    top_label: str = "TOP",
) -> MendedTree:
    """Returns the tree of tokens over exactly the words, mended if it must be.

    Args:
        tags: of the words; None = the leaves of the tokens.
        top_label: of the top.

    Raises:
        InputError: there are no words, or another number of tags.
    """
    for name, given in (("tokens", tokens), ("words", words)):
        require_texts(name, given)
    mended = mend(tokens, len(words))
    tree = delinearise(mended, words, tags=tags, top_label=top_label)
    return MendedTree(tree, mended != list(tokens))


def mend(tokens: Sequence[str], num_words: int) -> list[str]:
    """Returns the tokens of a tree over so many words, by the rules of this module.

    Raises:
        InputError: there are no words.
    """
    if num_words < 1:
        raise InputError(f"num_words={num_words} must be at least 1: no word, no tree.")
    mended: list[str] = []
    labels: list[str] = []  # of the constituents that are open
    left = num_words
    for token in tokens:
        if token.startswith("("):
            if is_fit(token[1:]):
                labels.append(token[1:])
                mended.append(token)
        elif token.startswith(")"):
            if is_fit(token[1:]):
                _close(mended, labels, _depth(labels, token[1:]))
        elif left:
            mended.append(token if token and is_fit(token) else ANY_WORD)
            left -= 1
    _close(mended, labels, 1)
    # Before the end of the last constituent that is closed, if nothing is open.
    is_closed = not labels and mended and mended[-1].startswith(")")
    end = len(mended) - 1 if is_closed else len(mended)
    mended[end:end] = [ANY_WORD] * left
    _close(mended, labels, 0)
    if mended != list(tokens) and not any(token.startswith("(") for token in mended):
        return [f"({_SENTENCE}", *mended, f"){_SENTENCE}"]
    return mended


def _depth(labels: list[str], label: str) -> int:
    """Returns how many constituents stay open when a label is closed."""
    for depth in reversed(range(len(labels))):
        if labels[depth] == label:
            return depth
    return max(len(labels) - 1, 0)


def _close(mended: list[str], labels: list[str], depth: int) -> None:
    """Closes the innermost constituents until so many are open."""
    while len(labels) > depth:
        label = labels.pop()
        if mended[-1].startswith("("):  # It holds nothing.
            mended.pop()
        else:
            mended.append(f"){label}")
