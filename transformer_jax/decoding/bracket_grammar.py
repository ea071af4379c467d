"""A grammar of brackets: what a hypothesis may write next to become a tree.

Tokens open a bracket with a label, close one, or are a leaf. The grammar keeps the
brackets that each hypothesis has open and the leaves that it has left, and allows only
tokens after which the tree can still be completed within the limit of its length. So
every hypothesis that ends is a tree with the given number of leaves.

Paper: section 6.3, where trees are written as sequences.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from transformer_jax.errors import InputError

_OTHER, _OPENING, _CLOSING, _LEAF, _END = range(5)


@dataclass(frozen=True)
class BracketGrammar:
    """The tokens of a grammar of brackets. All others are forbidden but the end.

    Several brackets may stand side by side outside all others. A bracket holds a leaf
    at least, somewhere inside.

    Raises:
        InputError: there is no leaf, a token has two meanings, or there is not one
            closing token for each opening one.

    Example:
        >>> grammar = tj.BracketGrammar(opening=(2, 3), closing=(4, 5), leaves=(6,))
        >>> grammar.max_depth
        128
    """

    opening: tuple[int, ...]
    """The token that opens a bracket, for each label."""
    closing: tuple[int, ...]
    """The token that closes it, in the same order."""
    leaves: tuple[int, ...]
    """The tokens that are a leaf."""
    max_depth: int = 128
    """Most brackets that are open at a time."""

    def __post_init__(self) -> None:
        tokens = [*self.opening, *self.closing, *self.leaves]
        if len(self.opening) != len(self.closing):
            raise InputError(
                f"{len(self.opening)} opening tokens for {len(self.closing)} closing "
                "ones: give one for each."
            )
        if len(set(tokens)) != len(tokens) or not self.leaves or min(tokens) < 0:
            raise InputError(
                f"opening={self.opening}, closing={self.closing}, leaves={self.leaves}"
                ": expected at least one leaf, and token ids that all differ."
            )
        if not 1 <= self.max_depth < 1 << 15:
            raise InputError(f"max_depth={self.max_depth} must be 1 to 32767.")

    def meanings(self, vocab_size: int, eos_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns kind and label of every token, int32 `[vocab]`.

        Raises:
            InputError: a token is not in the vocabulary, or is the end of sentence.
        """
        kinds = np.full(vocab_size, _OTHER, np.int32)
        labels = np.full(vocab_size, -1, np.int32)
        kinds[eos_id] = _END
        for kind, tokens in (
            (_OPENING, self.opening),
            (_CLOSING, self.closing),
            (_LEAF, self.leaves),
        ):
            for label, token in enumerate(tokens):
                if token >= vocab_size or token == eos_id:
                    raise InputError(
                        f"token {token} of the grammar is the end of sentence, or not "
                        f"one of the vocabulary of {vocab_size}."
                    )
                kinds[token], labels[token] = kind, label
        return kinds, labels


class OpenBrackets(NamedTuple):
    """What each hypothesis has opened, and has left to write."""

    stack: Array  # int16 [batch, beam, max_depth]: labels, the outermost first
    depth: Array  # int32 [batch, beam]: number of open brackets
    leaves: Array  # int32 [batch, beam]: leaves that are left
    is_empty: Array  # bool [batch, beam]: the last token has opened a bracket


def no_brackets(
    grammar: BracketGrammar, num_leaves: Int[Array, " batch"], beam: int
) -> OpenBrackets:
    """Returns the state of empty hypotheses."""
    shape = (num_leaves.shape[0], beam)
    return OpenBrackets(
        stack=jnp.zeros((*shape, grammar.max_depth), jnp.int16),
        depth=jnp.zeros(shape, jnp.int32),
        leaves=jnp.broadcast_to(num_leaves.astype(jnp.int32)[:, None], shape),
        is_empty=jnp.zeros(shape, bool),
    )


def allowed_tokens(
    grammar: BracketGrammar,
    brackets: OpenBrackets,
    left: Int[Array, " batch"],
    vocab_size: int,
    eos_id: int,
) -> Bool[Array, "batch beam vocab"]:
    """Returns which tokens may come next.

    While `left >= leaves + depth + 1`, at least one may, and it holds again after it.

    Args:
        left: tokens that may still be written, end of sentence included.
    """
    kinds, labels = grammar.meanings(vocab_size, eos_id)
    depth, leaves = brackets.depth, brackets.leaves
    # A new bracket needs a leaf, its own closing token, and itself.
    fits = left[:, None] >= leaves + depth + 3
    may_open = (leaves > 0) & (depth < grammar.max_depth) & fits
    may_close = (depth > 0) & ~brackets.is_empty
    may_end = (depth == 0) & (leaves == 0)
    place = jnp.maximum(depth - 1, 0)[:, :, None]
    innermost = jnp.take_along_axis(brackets.stack, place, axis=2)
    allowed: Array = (kinds[None, None] == _OPENING) & may_open[:, :, None]
    allowed |= (kinds[None, None] == _LEAF) & (leaves > 0)[:, :, None]
    allowed |= (kinds[None, None] == _END) & may_end[:, :, None]
    closes = (kinds == _CLOSING)[None, None] & (labels[None, None] == innermost)
    allowed |= closes & may_close[:, :, None]
    return allowed


def write_tokens(
    grammar: BracketGrammar,
    brackets: OpenBrackets,
    tokens: Int[Array, "batch beam"],
    vocab_size: int,
    eos_id: int,
) -> OpenBrackets:
    """Returns the state after each hypothesis has written a token that was allowed."""
    kinds, labels = map(jnp.asarray, grammar.meanings(vocab_size, eos_id))
    kind, label = kinds[tokens], labels[tokens]
    opens, closes = kind == _OPENING, kind == _CLOSING
    places = jnp.arange(grammar.max_depth)[None, None]
    is_new = opens[:, :, None] & (places == brackets.depth[:, :, None])
    return OpenBrackets(
        stack=jnp.where(is_new, label[:, :, None].astype(jnp.int16), brackets.stack),
        depth=brackets.depth + opens - closes,
        leaves=brackets.leaves - (kind == _LEAF),
        is_empty=opens,
    )
