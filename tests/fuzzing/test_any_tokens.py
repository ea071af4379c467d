"""Any text is given back by the tokenizer, but for its white space; others by name."""

import functools

import pytest
from any_text import broken_texts, is_one_line, texts
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import VOCAB_SIZE, reversed_pairs

from transformer_jax.config.data import TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import train_tokenizer

KINDS = {
    "bpe": TokenizerConfig(),
    "unigram in lower case": TokenizerConfig(kind="unigram", lowercase=True),
    "without bytes": TokenizerConfig(byte_fallback=False),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@functools.cache
def tokenizer_of(kind):
    size = 40 if kind == "without bytes" else VOCAB_SIZE - 20
    model = ModelConfig.tiny(vocab_size=size)
    return train_tokenizer(reversed_pairs(200), KINDS[kind], model)


def normalised(text, config):
    """All that the tokenizer may change, as `tokenizer.vocabulary` says."""
    text = " ".join(text.replace("\u2581", " ").split())
    return "".join(map(str.lower, text)) if config.lowercase else text


@each_kind
@given(st.lists(texts, max_size=4))
def test_any_text_comes_back(kind, sentences):
    tokenizer, config = tokenizer_of(kind), KINDS[kind]
    ids = tokenizer.encode_source(sentences)
    assert ids == [tokenizer.encode_source([text])[0] for text in sentences]
    assert ids == tokenizer.encode_target(sentences)
    for sequence in ids:
        assert sequence[-1] == tokenizer.eos_id
        assert tokenizer.eos_id not in sequence[:-1]
        assert not {tokenizer.pad_id, tokenizer.bos_id} & set(sequence)
        assert all(0 <= token < tokenizer.source_vocab_size for token in sequence)
        assert config.byte_fallback <= (tokenizer.unk_id not in sequence)
    if config.byte_fallback:
        expected = [normalised(text, config) for text in sentences]
        assert tokenizer.decode_source(ids) == expected
        # What has been normalised is as it was.
        assert tokenizer.encode_source(expected) == ids


@each_kind
@given(st.data())
def test_any_ids_are_text(kind, data):
    tokenizer = tokenizer_of(kind)
    size = tokenizer.target_vocab_size
    ids = data.draw(st.lists(st.lists(st.integers(0, size - 1), max_size=12)))
    decoded = tokenizer.decode_target(ids)
    assert len(decoded) == len(ids)
    for text, sequence in zip(decoded, ids, strict=True):
        text.encode()  # No lone surrogates.
        assert tokenizer.decode_target([sequence]) == [text]
        assert len(tokenizer.target_pieces(sequence)) == len(sequence)


@each_kind
@given(st.lists(texts, max_size=2), broken_texts)
def test_what_is_not_unicode_is_refused(kind, before, broken):
    with pytest.raises(InputError, match="has half of a surrogate pair") as raised:
        tokenizer_of(kind).encode_source([*before, broken])
    assert is_one_line(raised.value)
