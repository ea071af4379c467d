"""Vocabularies of other programs: special tokens of any id, or none."""

import pytest
import sentencepiece
from own_vocabularies import IDS, LINES, own_vocabulary

from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer

# pad, bos, eos and unk: those of the model, and what stands for a missing one.
EXPECTED = {
    "default": (2, 1, 2, 0),
    "marian": (3, 3, 0, 1),
    "all others": (5, 6, 7, 4),
    "only an end": (0, 0, 0, 1),
}


@pytest.mark.parametrize("ids", IDS)
def test_ids_and_text_are_those_of_sentencepiece(ids):
    model = own_vocabulary(ids)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokenizer = Tokenizer(model, model)
    special = tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id
    assert special == EXPECTED[ids]
    assert tokenizer.source_eos_id == tokenizer.eos_id
    lines = [*LINES[:20], "Zoë knows ⁇", ""]
    encoded = tokenizer.encode_target(lines)
    assert encoded == tokenizer.encode_source(lines)
    for line, found in zip(lines, encoded, strict=True):
        assert found == [*processor.encode(line), tokenizer.eos_id]
    assert tokenizer.unk_id in encoded[20]
    # As search leaves it: filled up with padding behind the end, unknowns kept.
    filled = [[*found, tokenizer.pad_id, tokenizer.pad_id] for found in encoded]
    assert tokenizer.decode_target(filled) == list(map(processor.decode, encoded))
    assert tokenizer.decode_source(encoded)[:20] == LINES[:20]


def test_two_vocabularies_may_have_other_ids():
    tokenizer = Tokenizer(own_vocabulary("marian"), own_vocabulary("all others"))
    assert (tokenizer.source_eos_id, tokenizer.eos_id) == (0, 7)
    assert tokenizer.decode_source(tokenizer.encode_source(LINES)) == LINES
    assert tokenizer.decode_target(tokenizer.encode_target(LINES)) == LINES


def test_padding_is_an_id_of_both_vocabularies():
    """No row of an embedding is read that it does not have."""
    small = own_vocabulary("default", vocab_size=24, hard_vocab_limit=True)
    large = own_vocabulary("default", pad_id=30)
    tokenizer = Tokenizer(small, large)
    assert tokenizer.source_vocab_size == 24
    assert tokenizer.pad_id == 0
    assert Tokenizer(large, large).pad_id == 30


def test_a_vocabulary_without_an_end_is_refused():
    whole, endless = own_vocabulary(), own_vocabulary(eos_id=-1)
    for side, models in ("source", (endless, whole)), ("target", (whole, endless)):
        with pytest.raises(InputError, match=f"the {side} vocabulary has no end-of-"):
            Tokenizer(*models)
