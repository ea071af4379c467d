"""`tokenizer.user_symbols`: one piece each, wherever they stand in a text."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_vocabularies import own_vocabulary
from test_tokenizer import ENGLISH, GERMAN, train

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.checks import check_user_symbols
from transformer_jax.tokenizer.tokenizer import Tokenizer

SYMBOLS = ("<2de>", "<2FR>", "ß→", "<2")
KINDS = {
    "bpe": {},
    "lowercase": {"lowercase": True},
    "unigram": {"kind": "unigram"},
    "separate": {"shared": False, "target_size": 340},
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request) -> Tokenizer:
    # Some lines have a symbol, so that it could be learnt as a part of others.
    pairs = [
        (f"<2de> {source}", f"{target} <2FR>")
        for source, target in zip(ENGLISH, GERMAN, strict=True)
    ]
    return train(pairs, 340, user_symbols=SYMBOLS, **KINDS[request.param])


PLACES = (
    "{} a man", "a man {} rides", "a man {}", "{}", "a{}b", "({}).", "{}{}", "“{}”",
    "A {}, {}!", "  {}\t{} ", "\uff21{}½", "中{}文",
)  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_symbol_is_one_piece_and_comes_back(tokenizer, symbol):
    sides = (
        (tokenizer.encode_source, tokenizer.source_pieces, tokenizer.decode_source),
        (tokenizer.encode_target, tokenizer.target_pieces, tokenizer.decode_target),
    )
    for place, (encode, pieces, decode) in itertools.product(PLACES, sides):
        text = place.replace("{}", symbol)
        (ids,) = encode([text])
        assert pieces(ids).count(symbol) == text.count(symbol)
        (back,) = decode([ids])
        others = " ".join(text.split()).split(symbol)
        assert back.split(symbol) in (others, [part.lower() for part in others])


@settings(max_examples=50, deadline=None)
@given(before=st.text(max_size=8), after=st.text(max_size=8))
def test_a_symbol_survives_any_text(tokenizer, before, after):
    text = f"{before}<2de>{after}"
    (ids,) = tokenizer.encode_target([text])
    assert "<2de>" in tokenizer.target_pieces(ids)
    assert "<2de>" in tokenizer.decode_target([ids])[0]


def test_without_them_nothing_changes():
    assert train().digest == train(user_symbols=()).digest
    assert train(user_symbols=SYMBOLS).source_vocab_size == train().source_vocab_size


def test_a_vocabulary_too_small_for_them_says_how_large_it_must_be():
    symbols = tuple(f"<{number}>" for number in range(200))
    with pytest.raises(InputError, match=r"^model\.vocab_size=330 is too small") as e:
        train(user_symbols=symbols)
    enough = int(str(e.value).split("above ")[1].split(",")[0]) + 1
    assert train(size=enough, user_symbols=symbols).source_vocab_size == enough


REFUSED = {
    ("",): "'' must be characters without a space",
    ("a b",): "'a b' must be characters without a space",
    ("▁x",): "must be characters without a space",
    ("a\x00",): "must be printable",
    ("\ud800",): "must be printable",
    ("<2de>", "</s>"): "'</s>' is the name of a token of every vocabulary",
    ("<0x41>",): "'<0x41>' is the name",
    ("<2de>", "<x>", "<2de>"): "has '<2de>' twice",
    "<2de>": "must be a list",
}


@pytest.mark.parametrize("symbols", REFUSED)
def test_what_cannot_be_a_symbol(symbols):
    with pytest.raises(InputError, match=r"^tokenizer\.user_symbols=") as caught:
        TokenizerConfig(user_symbols=symbols)
    assert REFUSED[symbols] in str(caught.value)


def test_the_check_of_a_vocabulary():
    """A control symbol is never a piece of a text; a learnt piece not always."""
    has = own_vocabulary(user_defined_symbols=["<2de>"])
    control = own_vocabulary(control_symbols=["<2de>"])
    check_user_symbols(Tokenizer(has, has), ("<2de>",))
    check_user_symbols(Tokenizer(has, control), ())
    for side, models in {"source": (control, has), "target": (has, control)}.items():
        with pytest.raises(InputError, match=f"'<2de>' is no .* of the {side} voc"):
            check_user_symbols(Tokenizer(*models), ("<2de>",))
