"""SentencePiece models whose pieces stand in the order of a vocabulary file.

Marian's models have a SentencePiece model for each language, and one file that gives
each piece of either its token id. Here a tokenizer's token ids are the places of its
pieces; so the pieces are put into the order of that file, with their scores and types.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sentencepiece

from transformer_jax.errors import InputError
from transformer_jax.tokenizer.special_ids import special_ids
from transformer_jax.tokenizer.vocabulary import SPACE

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_NUM_BYTES = 256
# Below that of any piece which text can be made of.
_UNUSED_SCORE = -1e6


@dataclass(frozen=True)
class SpecialPieces:
    """The pieces with a meaning of their own."""

    bos: str
    eos: str
    pad: str
    unk: str


@dataclass(frozen=True)
class OrderedModel:
    """A model whose pieces are those of a vocabulary, in its order."""

    model: bytes
    """Serialised."""
    missing: tuple[str, ...]
    """Pieces that text could be made of before, and that the vocabulary lacks."""


def model_kind(model: bytes) -> tuple[str, bool]:
    """Returns the kind of a serialised model, as `unigram`, and its byte fallback."""
    settings = _parse(model).trainer_spec
    return _KINDS[settings.model_type], bool(settings.byte_fallback)


def pieces_of(model: bytes) -> list[str]:
    """Returns the pieces of a serialised model, each a token of its own.

    The code of a language is written as in Marian, without the sign for a space.
    """
    return [
        piece.piece.removeprefix(SPACE) if _is_code(piece) else piece.piece
        for piece in _parse(model).pieces
    ]


def special_pieces(model: bytes) -> SpecialPieces:
    """Returns the special pieces that a `Tokenizer` of a serialised model uses.

    A model may name others, which it does not have: of the default training the
    padding, in whose place there is the end of sentence.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = special_ids(processor, "target")
    numbers = {"bos": ids.bos, "eos": ids.eos, "pad": ids.pad, "unk": ids.unk}
    return SpecialPieces(
        **{name: processor.id_to_piece(number) for name, number in numbers.items()}
    )


def order_pieces(
    model: bytes, vocabulary: Sequence[str], special: SpecialPieces
) -> OrderedModel:
    """Returns the model with the pieces of a vocabulary, in its order.

    Pieces that the model has keep score and type. Others are unused: text is never made
    of them, but they can be decoded. Only where all characters of one are unknown to
    the model, as ß may be to English, text is made of it: Marian looks up unknown
    characters in the vocabulary. A code of a language, as `>>deu<<`, is one piece
    wherever it stands as a word.

    Args:
        special: with a type of their own; all are in the vocabulary.

    Raises:
        InputError: the pieces make no model.
    """
    parsed = _parse(model)
    known = {piece.piece: piece for piece in parsed.pieces}
    types = {special.bos: _CONTROL, special.eos: _CONTROL, special.pad: _CONTROL}
    types[special.unk] = _UNKNOWN
    characters = _known_characters(parsed)
    ordered = []
    for text in vocabulary:
        piece = type(parsed).SentencePiece()
        if text in known:
            piece.CopyFrom(known[text])
        elif _is_code_text(text):
            piece.piece, piece.type = f"{SPACE}{text}", _USER_DEFINED
        else:
            is_unknown = characters.isdisjoint(text)
            piece.piece, piece.score = text, _UNUSED_SCORE
            piece.type = _NORMAL if is_unknown else _UNUSED
        if text in types:
            piece.type, piece.score = types[text], 0.0
        elif piece.type == _UNKNOWN:  # Another than that of the vocabulary.
            piece.type = _UNUSED
        ordered.append(piece)
    kept = set(vocabulary)
    missing = [
        piece.piece
        for piece in parsed.pieces
        if piece.piece not in kept and piece.type in (_NORMAL, _USER_DEFINED, _BYTE)
    ]
    num_bytes = sum(piece.type == _BYTE for piece in ordered)
    if parsed.trainer_spec.byte_fallback and num_bytes < _NUM_BYTES:
        raise InputError(
            f"the vocabulary has {num_bytes} of the {_NUM_BYTES} bytes that its "
            "SentencePiece model falls back on: it needs all."
        )
    _replace(parsed, ordered, special)
    return OrderedModel(parsed.SerializeToString(), tuple(missing))


def without_codes(model: bytes) -> bytes:
    """Returns a model that does not know the codes of languages.

    Marian's tokenizer takes the code from the beginning of a text itself.
    """
    parsed = _parse(model)
    codes = [piece for piece in parsed.pieces if _is_code(piece)]
    if not codes:
        return model
    for piece in codes:
        piece.type, piece.score = _UNUSED, _UNUSED_SCORE
    serialised: bytes = parsed.SerializeToString()
    return serialised


def _replace(parsed: Any, pieces: Sequence[Any], special: SpecialPieces) -> None:
    del parsed.pieces[:]
    parsed.pieces.extend(pieces)
    places = {piece.piece: place for place, piece in enumerate(pieces)}
    settings = parsed.trainer_spec
    settings.vocab_size = len(pieces)
    for name in ("bos", "eos", "pad", "unk"):
        text = getattr(special, name)
        setattr(settings, f"{name}_piece", text)
        setattr(settings, f"{name}_id", places[text])


def _known_characters(parsed: Any) -> set[str]:
    """Returns all characters that text can be made of; with bytes, every one."""
    if parsed.trainer_spec.byte_fallback:
        return set(map(chr, range(sys.maxunicode + 1)))
    usable = (_NORMAL, _USER_DEFINED)
    return {c for piece in parsed.pieces if piece.type in usable for c in piece.piece}


def _is_code(piece: Any) -> bool:
    is_own = piece.type == _USER_DEFINED and piece.piece.startswith(SPACE)
    return is_own and _is_code_text(piece.piece.removeprefix(SPACE))


def _is_code_text(text: str) -> bool:
    return text.startswith(">>") and text.endswith("<<")


def _parse(model: bytes) -> Any:
    from sentencepiece import sentencepiece_model_pb2  # Needed to parse only.

    described: Any = sentencepiece_model_pb2
    try:
        return described.ModelProto.FromString(model)
    except Exception as error:  # Of protobuf, which is no dependency by itself.
        raise InputError(
            "a SentencePiece model cannot be read "
            f"({' '.join(str(error).split()):.100}): give the file as it was made."
        ) from None
