"""Words that are one piece of a vocabulary each, as the brackets of trees."""

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
    num_unused = vocab_size - num_others - len(symbols)
    if num_unused < 0:
        raise InputError(
            f"model.target_vocab_size={vocab_size} is too small for the {len(symbols)} "
            "labels and brackets of the trees: set it to "
            f"{len(symbols) + num_others} or more."
        )
    return [*symbols, *(_UNUSED % number for number in range(num_unused))]


def user_symbols(model: bytes) -> dict[str, int]:
    """Returns the symbols of a serialised vocabulary with their token ids."""
    from sentencepiece import sentencepiece_model_pb2  # Needed to parse only.

    described: Any = sentencepiece_model_pb2
    pieces = described.ModelProto.FromString(model).pieces
    return {
        piece.piece.removeprefix(SPACE): number
        for number, piece in enumerate(pieces)
        if piece.type == _USER_DEFINED and not piece.piece.startswith(f"{SPACE}<unused")
    }
