"""Symbols that are one piece of a vocabulary each.

Two kinds: `tokenizer.user_symbols`, which are kept whole wherever they stand in a text,
and words of the text as a whole, as the brackets of trees.
"""

from collections.abc import Sequence
from typing import Any

from transformer_jax.config.data import TokenizerConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.vocabulary import SPACE

_SPECIAL, _BYTES = 4, 256
_UNUSED = "<unused%d>"
_USER_DEFINED = 4


def fill_symbols(
    symbols: Sequence[str], config: TokenizerConfig, vocab_size: int
) -> list[str]:
    """Returns the symbols, and unused ones that fill a vocabulary of nothing else.

    Raises:
        InputError: the vocabulary is too small for them.
    """
    num_others = _SPECIAL + (_BYTES if config.byte_fallback else 0)
    num_others += len(config.user_symbols)
    num_unused = vocab_size - num_others - len(symbols)
    if num_unused < 0:
        raise InputError(
            f"model.target_vocab_size={vocab_size} is too small for the {len(symbols)} "
            "labels and brackets of the trees: set it to "
            f"{len(symbols) + num_others} or more."
        )
    return [*symbols, *(_UNUSED % number for number in range(num_unused))]


def word_symbols(model: bytes) -> dict[str, int]:
    """Returns the words that are a piece each, as brackets of trees, with their ids."""
    return {
        piece.removeprefix(SPACE): number
        for piece, number in _user_defined(model).items()
        if piece.startswith(SPACE) and not piece.startswith(f"{SPACE}<unused")
    }


def find_split_symbol(model: bytes, symbols: Sequence[str]) -> str | None:
    """Returns the first symbol that a vocabulary may cut in pieces, None if none.

    Args:
        model: a serialised SentencePiece model.
    """
    kept = _user_defined(model) if symbols else {}
    return next((symbol for symbol in symbols if symbol not in kept), None)


def _user_defined(model: bytes) -> dict[str, int]:
    """Returns the pieces that are user-defined symbols, with their ids."""
    from sentencepiece import sentencepiece_model_pb2  # Needed to parse only.

    described: Any = sentencepiece_model_pb2
    pieces = described.ModelProto.FromString(model).pieces
    return {
        piece.piece: number
        for number, piece in enumerate(pieces)
        if piece.type == _USER_DEFINED
    }
