"""Each target word is linked to the source word it attends to most."""

import numpy as np
import pytest
from tiny_runs import WORDS, reversed_pairs, reversing_run, trained_run

from transformer_jax.errors import InputError
from transformer_jax.scoring.alignment import (
    align,
    attention_matrices,
    pharaoh,
    word_attention,
)
from transformer_jax.scoring.teacher_forcing import corpus_from_parts, parts_from_texts
from transformer_jax.scoring.words import word_starts
from transformer_jax.translation.translator import Translator

PAIRS = [
    *reversed_pairs(16, seed=3, longest=16),
    ("", "ba be"),
    ("ba", ""),
    # Words of several pieces, and of characters the tokenizer never saw.
    ("kadu  bebabo\u3000x\U0001f600y ba", "\t\u00e9 dudu ko"),
]
SOURCES, TARGETS = map(list, zip(*PAIRS, strict=True))


def attention_of_pairs(translator, layer=None):
    """The attention matrix of each pair, in the order of the pairs."""
    settings = translator.config.decoding.replace(alignment_layer=layer)
    parts = parts_from_texts(translator, SOURCES, TARGETS, settings)
    corpus = corpus_from_parts(translator, parts)
    matrices = dict(attention_matrices(translator, corpus, settings))
    return [matrices[index] for index in range(len(PAIRS))]


@pytest.fixture(scope="module")
def translator() -> Translator:
    return trained_run().result.translator


def test_words_by_hand():
    assert word_starts([]) == []
    assert word_starts(["▁a", "b", "▁c"]) == [0, 2]
    assert word_starts(["a", "▁b"]) == [0, 1], "a space before the first may lack"
    assert word_starts(["▁", "a", "▁", "<0xE2>", "<0x82>"]) == [0, 2]
    assert word_starts(["▁", "▁", "▁a"]) == [0], "several spaces are one"
    assert word_starts(["▁a", "▁"]) == [0], "nothing follows"
    assert word_starts(["▁"]) == []


def test_word_attention_by_hand():
    # Three target pieces, the last two of one word; four source pieces in three words.
    attention = np.array(
        [[0.4, 0.3, 0.3, 0.0], [0.1, 0.1, 0.0, 0.8], [0.0, 0.0, 0.9, 0.1]]
    )
    words = word_attention(attention, [0, 2, 3], [0, 1])
    # 0.4 is the largest of the first row, and 0.4 + 0.3 of its words; the second word
    # looks at the third and second source word with 0.8, 0.1 and 0.0, 0.9.
    np.testing.assert_allclose(words, [[0.7, 0.3, 0.0], [0.1, 0.45, 0.45]])
    assert words[0].argmax() == 0
    # One piece by itself would say the second word.
    other = np.array([[0.3, 0.3, 0.4, 0.0]])
    assert word_attention(other, [0, 2, 3], [0]).argmax() == 0
    assert other.argmax() == 2


def test_words_of_pieces_are_those_between_white_space(translator):
    rng = np.random.default_rng(0)
    parts = [*WORDS, " ", "  ", "\t", "\u3000", "\u2028", "x", "ö", "\U0001f600", "▁"]
    tokenizer = translator.tokenizer
    for _ in range(300):
        text = "".join(rng.choice(parts, rng.integers(0, 12)))
        (ids,) = tokenizer.encode_target([text])
        # The tokenizer takes its own sign for a space as one.
        words = text.replace("▁", " ").split()
        assert len(word_starts(tokenizer.target_pieces(ids[:-1]))) == len(words)
    # What a search found need not be how its text is encoded.
    letters = [i for i in range(4, 300) if "<" not in tokenizer.target_pieces([i])[0]]
    for _ in range(300):
        ids = rng.choice(letters, rng.integers(1, 12)).tolist()
        (text,) = tokenizer.decode_target([ids])
        assert len(word_starts(tokenizer.target_pieces(ids))) == len(text.split())


@pytest.mark.parametrize("layer", [None, 0, -1])
def test_each_target_word_has_one_link(translator, layer):
    for source, target, links in zip(
        SOURCES,
        TARGETS,
        align(translator, SOURCES, TARGETS, alignment_layer=layer),
        strict=True,
    ):
        words = source.split(), target.split()
        expected = range(len(words[1])) if words[0] else ()
        assert [target_word for _, target_word in links] == list(expected)
        assert all(0 <= source_word < len(words[0]) for source_word, _ in links)


def test_links_are_the_largest_sums_of_attention(translator):
    """Written plainly: a piece at a time, its word counted by the spaces before it."""
    tokenizer = translator.tokenizer
    sides = zip(
        tokenizer.encode_source(SOURCES), tokenizer.encode_target(TARGETS), strict=True
    )
    found = attention_of_pairs(translator)
    for (source, target), attention, links in zip(
        sides, found, align(translator, SOURCES, TARGETS), strict=True
    ):
        pieces = tokenizer.source_pieces(source), tokenizer.target_pieces(target)
        assert attention.shape == (len(target), len(source))
        sums = {}
        for t in range(len(target) - 1):
            for s in range(len(source) - 1):
                words = (
                    "".join(pieces[1][: t + 1]).count("▁") - 1,
                    "".join(pieces[0][: s + 1]).count("▁") - 1,
                )
                sums[words] = sums.get(words, 0.0) + attention[t, s]
        expected = {}
        for (target_word, source_word), total in sums.items():
            best = sums.get((target_word, expected.get(target_word)), 0.0)
            if total > best:
                expected[target_word] = source_word
        assert {t: s for s, t in links} == expected


def test_order_and_company_do_not_matter(translator):
    together = align(translator, SOURCES, TARGETS)
    assert together == align(translator, SOURCES[::-1], TARGETS[::-1])[::-1]
    assert together == [
        align(translator, [source], [target])[0] for source, target in PAIRS
    ]
    assert align(translator, [], []) == []


@pytest.mark.slow
def test_attention_is_the_mean_over_the_heads_of_one_layer(translator):
    for layer, number in ((None, 1), (0, 0), (1, 1), (-1, 1), (-2, 0)):
        found = attention_of_pairs(translator, layer)
        for index in (0, 5, 16):
            whole = translator.attention(SOURCES[index], TARGETS[index])
            expected = whole.cross[number].mean(axis=0)
            np.testing.assert_allclose(found[index], expected, atol=1e-5)


def test_attention_of_several_models_is_their_mean(translator, random_params):
    config = translator.config
    random = Translator(config, random_params(config.model), translator.tokenizer)
    both = Translator(
        config, translator.params, translator.tokenizer, others=random.models
    )
    found, *each = (attention_of_pairs(model) for model in (both, translator, random))
    for mixed, *singles in zip(found, *each, strict=True):
        np.testing.assert_allclose(mixed, np.mean(singles, axis=0), atol=1e-5)


@pytest.mark.parametrize("layer", [2, -3])
def test_a_layer_that_is_not_there(translator, layer):
    with pytest.raises(
        InputError,
        match=rf"decoding.alignment_layer={layer} is not one of the 2 decoder",
    ):
        align(translator, SOURCES, TARGETS, alignment_layer=layer)


def test_links_as_text():
    assert pharaoh([(0, 0), (12, 1), (0, 2)]) == "0-0 12-1 0-2"
    assert pharaoh([]) == ""


@pytest.mark.slow
def test_a_model_that_reverses_sentences_aligns_them_in_reverse():
    _, trained = reversing_run()
    # Of equal words none is the right one.
    unseen = [
        (source, target)
        for source, target in reversed_pairs(200, seed=1)
        if len(set(source.split())) == len(source.split())
    ]
    found = align(trained.translator, *map(list, zip(*unseen, strict=True)))
    for (source, _), links in zip(unseen, found, strict=True):
        number = len(source.split())
        assert links == [(number - 1 - word, word) for word in range(number)]
