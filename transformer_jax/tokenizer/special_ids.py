"""The special tokens of one SentencePiece model, and what stands for a missing one.

A model of another program may lack some: the default training of SentencePiece has no
padding, Marian's models have no beginning of a sentence.
"""

from dataclasses import dataclass

import sentencepiece

from transformer_jax.errors import InputError


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the special tokens of a vocabulary; two of them may be equal."""

    pad: int
    """Where the model has none, that of the end: places of padding are told by their
    segment, so that any id does."""
    bos: int
    """Where the model has none, that of padding, or of the end where that is missing
    too: the decoder begins with it."""
    eos: int
    unk: int


def special_ids(
    processor: sentencepiece.SentencePieceProcessor, side: str
) -> SpecialIds:
    """Returns the special ids of a vocabulary.

    Args:
        side: of the vocabulary, for the message.

    Raises:
        InputError: it has no end-of-sentence.
    """
    pad, bos, eos = processor.pad_id(), processor.bos_id(), processor.eos_id()
    if eos < 0:
        raise InputError(
            f"the {side} vocabulary has no end-of-sentence token, so that no "
            "translation could end: train it with an eos_id, as SentencePiece does "
            "by default."
        )
    pad = pad if pad >= 0 else eos
    return SpecialIds(pad, bos if bos >= 0 else pad, eos, processor.unk_id())
