"""SentencePiece models as other programs train them, with ids of their own."""

import io

import sentencepiece
from tiny_runs import reversed_pairs

LINES = [side for pair in reversed_pairs(200) for side in pair]
# Of the two: SentencePiece's default, and the models of Marian.
IDS = {
    "default": {},
    "marian": {"eos_id": 0, "unk_id": 1, "pad_id": 3, "bos_id": -1},
    "all others": {"eos_id": 7, "unk_id": 4, "pad_id": 5, "bos_id": 6},
    "only an end": {"eos_id": 0, "unk_id": 1, "pad_id": -1, "bos_id": -1},
}


def own_vocabulary(ids="default", lines=LINES, **options) -> bytes:
    """Returns a model with the ids of a name in `IDS`, as `spm_train` writes it."""
    written = io.BytesIO()
    options = {"vocab_size": 60, "hard_vocab_limit": False, **IDS[ids], **options}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, minloglevel=2, **options
    )
    return written.getvalue()


def size_of(model: bytes) -> int:
    """Returns the number of pieces."""
    return sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()
