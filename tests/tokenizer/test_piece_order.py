"""Pieces in another order segment text as they did."""

import io
import random

import pytest
import sentencepiece
from tiny_runs import WORDS, reversed_pairs

from transformer_jax.errors import InputError
from transformer_jax.tokenizer.piece_order import (
    SpecialPieces,
    order_pieces,
    pieces_of,
    special_pieces,
    without_codes,
)
from transformer_jax.tokenizer.tokenizer import Tokenizer

SPECIAL = SpecialPieces(bos="<pad>", eos="</s>", pad="<pad>", unk="<unk>")
TEXTS = ["ba be  bi", "Ü ba 漢", "½ zz", "kurs rr", "dodo kaku.", "", *WORDS]


def learn(kind):
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([pair[0] for pair in reversed_pairs(300)]),
        model_writer=written, model_type=kind, vocab_size=45, pad_id=-1,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_text_has_the_same_pieces_by_their_new_ids(kind):
    model = learn(kind)
    before = sentencepiece.SentencePieceProcessor(model_proto=model)
    own = [before.id_to_piece(i) for i in range(3, len(before))]
    random.Random(0).shuffle(own)
    # Pieces of another language, some of which are in the texts.
    others = ["▁bab", "rr", "rs", "Ü", "漢"]
    vocabulary = ["</s>", "<unk>", *own[:9], *others, *own[9:], ">>deu<<", "<pad>"]
    ordered = order_pieces(model, vocabulary, SPECIAL)
    assert ordered.missing == ()
    assert pieces_of(ordered.model) == vocabulary
    assert special_pieces(ordered.model) == SPECIAL
    tokenizer = Tokenizer(ordered.model, ordered.model)
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    assert (tokenizer.bos_id, tokenizer.pad_id) == (ids["<pad>"], ids["<pad>"])
    for text in TEXTS:
        pieces = before.encode(text, out_type=str)
        expected = [ids.get(piece, ids["<unk>"]) for piece in pieces] + [0]
        assert tokenizer.encode_source([text]) == [expected], text
        if ids["<unk>"] not in expected:
            assert tokenizer.decode_target([expected]) == [before.decode(pieces)]
    # A piece of the other language is decoded all the same.
    assert tokenizer.decode_target([[ids["▁bab"], ids["rr"], 0]]) == ["babrr"]
    with_code = tokenizer.encode_source([">>deu<< ba be"])[0]
    assert with_code == [ids[">>deu<<"], *tokenizer.encode_source(["ba be"])[0]]
    plain = Tokenizer(without_codes(ordered.model), without_codes(ordered.model))
    assert ids[">>deu<<"] not in plain.encode_source([">>deu<< ba be"])[0]


def test_pieces_without_an_id_are_told():
    model = learn("unigram")
    before = sentencepiece.SentencePieceProcessor(model_proto=model)
    own = [before.id_to_piece(i) for i in range(3, len(before))]
    ordered = order_pieces(model, ["</s>", "<unk>", "<pad>", *own[2:]], SPECIAL)
    assert set(ordered.missing) == set(own[:2])


def test_what_is_no_model_is_refused():
    with pytest.raises(InputError, match="cannot be read"):
        order_pieces(b"\xff\xff\xff", ["</s>", "<unk>", "<pad>"], SPECIAL)
