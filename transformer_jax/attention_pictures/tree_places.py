"""Described places in the tokens of a tree, and in the words under it.

Paper: section 6.3, parsing; figures 3 to 5, heads that follow the sentence's structure.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from transformer_jax.attention_pictures.attended_pair import AttendedPair, PieceRow
from transformer_jax.attention_pictures.places import Places, place_of
from transformer_jax.tokenizer.vocabulary import SPACE

_NONE = -1


class OpenBrackets(NamedTuple):
    """What a decoder has read of a tree at each position; int arrays [positions].

    -1 = there is none.
    """

    own_opening: np.ndarray
    """Of a closing bracket, the position of the opening one."""
    parent: np.ndarray
    """The opening bracket of the constituent that holds this token's."""
    innermost: np.ndarray
    """The opening bracket that the next closing one will match."""
    sibling: np.ndarray
    """Where the part before this one, of the same constituent, begins. Of a closing
    bracket, the one before the constituent that it closes."""
    num_leaves: np.ndarray
    """Number of words whose tags have been read, this position included."""


def read_brackets(row: PieceRow) -> OpenBrackets:
    """Returns the brackets that are open at each position.

    Tokens need not be well formed: a closing bracket too many closes nothing.
    """
    found: list[tuple[int, int, int, int, int]] = []
    top = _Constituent(_NONE, _NONE)
    stack, num_leaves = [top], 0
    for position, piece in enumerate(row.pieces):
        own, sibling = _NONE, _NONE
        parent = stack[-1].opening
        # What begins no token is the marker of beginning, or the rest of a rare tag.
        token = piece.removeprefix(SPACE) if piece.startswith(SPACE) else ""
        if token.startswith(")"):
            if len(stack) > 1:
                closed = stack.pop()
                own, sibling, parent = closed.opening, closed.sibling, stack[-1].opening
        elif token:
            sibling, stack[-1].last_part = stack[-1].last_part, position
            if token.startswith("("):
                stack.append(_Constituent(position, sibling))
            else:
                num_leaves += 1
        found.append((own, parent, stack[-1].opening, sibling, num_leaves))
    return OpenBrackets(*np.array(found, int).reshape(-1, 5).T)


@dataclass
class _Constituent:
    """An open constituent while its tokens are read."""

    opening: int
    sibling: int
    """Where the part before it begins."""
    last_part: int = _NONE
    """Where the last part that it has by now begins."""


def matching_bracket(pair: AttendedPair) -> np.ndarray:
    """Returns the opening bracket that the query, a closing one, matches."""
    return place_of(read_brackets(pair.queries).own_opening, pair.shape[1])


def parent_bracket(pair: AttendedPair) -> np.ndarray:
    """Returns the opening bracket of the constituent around the query's own."""
    return place_of(read_brackets(pair.queries).parent, pair.shape[1])


def innermost_bracket(pair: AttendedPair) -> np.ndarray:
    """Returns the last bracket that is open; an opening one is so itself."""
    return place_of(read_brackets(pair.queries).innermost, pair.shape[1])


def part_before(pair: AttendedPair) -> np.ndarray:
    """Returns where the part before the query's, of the same constituent, begins."""
    return place_of(read_brackets(pair.queries).sibling, pair.shape[1])


def leaf_before(pair: AttendedPair) -> np.ndarray:
    """Returns the last tag before the query."""
    counts = read_brackets(pair.queries).num_leaves
    is_leaf = np.diff(counts, prepend=0) > 0
    leaves = np.append(np.flatnonzero(is_leaf), _NONE)
    return place_of(leaves[counts - is_leaf - 1], pair.shape[1])


def word_of_leaf(distance: int) -> Places:
    """Returns the word of the last tag that was read, or so many words after it."""

    def places(pair: AttendedPair) -> np.ndarray:
        words = read_brackets(pair.queries).num_leaves - 1 + distance
        return _pieces_of(words, pair.keys)

    return places


def first_word_of_constituent(pair: AttendedPair) -> np.ndarray:
    """Returns the first word of the constituent that is open, once it has one."""
    brackets = read_brackets(pair.queries)
    before = brackets.num_leaves[brackets.innermost]
    has_words = (brackets.innermost >= 0) & (before < brackets.num_leaves)
    return _pieces_of(np.where(has_words, before, _NONE), pair.keys)


def _pieces_of(words: np.ndarray, keys: PieceRow) -> np.ndarray:
    """Returns all pieces of one word for each query; -1 = none."""
    mask: np.ndarray = (words[:, None] == keys.words[None, :]) & (words >= 0)[:, None]
    return mask
