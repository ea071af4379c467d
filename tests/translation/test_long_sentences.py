# ruff: noqa: RUF001 (punctuation of many scripts is the subject)
"""Long texts are cut where the least is lost, and nothing of them gets lost."""

import random
import unicodedata

import pytest
from tiny_runs import VOCAB_SIZE, reversed_pairs

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import SentenceError
from transformer_jax.tokenizer.tokenizer import train_tokenizer
from transformer_jax.translation.long_sentences import (
    split_at_sentence_ends,
    split_long_sentences,
)


@pytest.fixture(scope="module")
def tokenizer():
    pairs = reversed_pairs(200)
    model = ModelConfig.tiny(vocab_size=VOCAB_SIZE)
    return train_tokenizer(pairs, TokenizerConfig(), model)


def words(texts):
    """As many tokens as words, and the end."""
    return [len(text.split()) + 1 for text in texts]


def characters(texts):
    return [len(text) + 1 for text in texts]


def bare(text):
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        # Whole sentences, as many as fit in 8 words and the end.
        (
            "One two. Two is so far. Then he ran.",
            9,
            ["One two. Two is so far.", "Then he ran."],
        ),
        (
            "One two? Six ten! Out off… Who are",
            4,
            ["One two?", "Six ten!", "Out off…", "Who are"],
        ),
        # What is no end of a sentence.
        ("And Mr. X left. They ran", 5, ["And Mr. X left.", "They ran"]),
        ("Play J. Bach now. Then run", 5, ["Play J. Bach now.", "Then run"]),
        ("Am 3. Mai ging. Wer ist", 5, ["Am 3. Mai ging.", "Wer ist"]),
        ("See fig. 3 now then. Was there", 6, ["See fig. 3 now then.", "Was there"]),
        ("Now. One etc.  and so. Go", 5, ["Now.", "One etc.  and so.", "Go"]),
        # Signs that belong to the sentence they close.
        ('He said "run (now.)" They went', 5, ['He said "run (now.)"', "They went"]),
        # No end of a sentence in reach: a clause, then words; the rest is whole.
        (
            "One two ten, but six or, not. Then he",
            5,
            ["One two ten,", "but six or, not.", "Then he"],
        ),
        (
            "One two six ten out off. Then he ran.",
            5,
            ["One two six ten", "out off.", "Then he ran."],
        ),
        # All in small letters there are sentences too.
        (
            "bad bed bid. bod bud dad, dod did",
            5,
            ["bad bed bid.", "bod bud dad,", "dod did"],
        ),
        ("no cut", 9, ["no cut"]),
        (" \u3000 ", 2, []),
    ],
)
def test_texts_are_cut_at_the_best_place_that_fits(text, limit, expected):
    assert split_at_sentence_ends(text, limit, words) == expected


def test_scripts_without_spaces():
    text = "東京は大きい。大阪もそう！京都は、とても古い町です。"
    parts = split_at_sentence_ends(text, 12, characters)
    assert parts == ["東京は大きい。", "大阪もそう！京都は、", "とても古い町です。"]


def test_a_word_is_cut_between_characters_that_stand_alone():
    text = "e\u0301" * 40 + "\U0001f469\u200d\U0001f52c" * 40
    parts = split_at_sentence_ends(text, 12, characters)
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 11
    for part in parts:
        assert not unicodedata.category(part[0]).startswith("M")
        assert part[0] != "\u200d"
        assert part[-1] != "\u200d"


def test_texts_that_are_more_tokens_together_than_apart():
    """Spaces count here, but only inside: neighbours that were to fit may not."""
    parts = split_at_sentence_ends("a b c d e f g h", 6, characters)
    assert bare("".join(parts)) == "abcdefgh"
    assert max(characters(parts)) <= 6


def test_nothing_is_lost_and_everything_fits(tokenizer):
    """Random texts of everything that has a meaning here, with the real tokenizer."""
    rng = random.Random(0)
    signs = ["ba", "Ko", "mi", "x" * 40, " ", " ", "  ", ". ", "? ", ", ", "。", "Dr. "]
    signs += [
        "\u2028",
        "\x85",
        "\r",
        "\x00",
        "א",
        "\U0001f600",
        "e\u0301",
        "\t",
        '."',
        "…",
    ]
    for limit in (8, 24):
        for _ in range(40):
            text = "".join(rng.choices(signs, k=rng.randint(1, 120)))
            parts = split_long_sentences([text], tokenizer, limit)
            assert bare("".join(parts.texts)) == bare(text)
            assert all(len(ids) <= limit for ids in parts.encoded)
            assert parts.encoded == tokenizer.encode_source(parts.texts)
            # As long as they can be, where only sentences and words were cut.
            if len(parts.texts) > 1 and not set(text) - set("baKomi. "):
                for pair in zip(parts.texts, parts.texts[1:], strict=False):
                    joined = tokenizer.encode_source([" ".join(pair)])[0]
                    assert len(joined) > limit


def test_sentences_keep_their_owners(tokenizer):
    sentences = ["ba be", "", "ko ku. " * 20, " \u2028 ", "mi"]
    parts = split_long_sentences(sentences, tokenizer, 12)
    assert parts.owners == sorted(parts.owners)
    assert set(parts.owners) == {0, 2, 4}
    for index, sentence in enumerate(sentences):
        own = zip(parts.texts, parts.owners, strict=True)
        assert " ".join(t for t, owner in own if owner == index) == sentence.strip()


def test_a_sentence_is_done_when_its_last_part_is(tokenizer):
    parts = split_long_sentences(["ba be", "", "ko ku. " * 20], tokenizer, 12)
    last = len(parts.owners) - 1
    assert last > 2
    counts = []
    count = parts.sentence_counter(counts.append)
    for part in range(last, 1, -1):
        count(part)
    assert counts == []
    count(0)
    assert counts == [1]
    count(1)
    assert counts == [1, 2]


def test_sentences_that_fit_are_left_as_they_are(tokenizer):
    sentences = [" ba  be ", "Ko. Ku. Mi."]
    parts = split_long_sentences(sentences, tokenizer, 100)
    assert parts.texts == sentences
    assert parts.owners == [0, 1]


def test_the_first_sentence_that_is_too_long_is_named(tokenizer):
    sentences = ["ba be", "", "ko ku. " * 20, "mi " * 50]
    with pytest.raises(SentenceError, match=r"sentence 3 has \d+ tokens.*=12") as error:
        split_long_sentences(sentences, tokenizer, 12, "refuse")
    assert list(error.value.problems) == [2, 3]


def test_what_cannot_be_cut_has_no_place_in_a_table_of_positions(tokenizer):
    """An emoji is four tokens, a space before it and the end of sentence."""
    with pytest.raises(SentenceError, match=r"sentence 2 has 6 tokens that .*length=5"):
        split_long_sentences(["ba", "ba \U0001f600"], tokenizer, 5, positions=5)
    assert split_long_sentences(["\U0001f600"], tokenizer, 5).owners == [0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign", ["a", ".", " ", ". ", "- ", '!"', "。", "a b, c. D ", "\n", "e\u0301"]
)
def test_a_million_characters_are_counted_a_few_times_each(sign):
    """The work grows with the length; with its square, this test would not end."""
    text, counted = sign * (1_000_000 // len(sign)), 0

    def characters_counted(texts):
        nonlocal counted
        counted += sum(map(len, texts))
        return characters(texts)

    parts = split_at_sentence_ends(text, 100, characters_counted)
    assert counted < 20 * len(text)
    assert bare("".join(parts)) == bare(text)
