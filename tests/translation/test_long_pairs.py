"""Both sides of a long pair are cut into parts that belong together."""

import numpy as np
import pytest
from tiny_runs import WORDS, trained_run

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.translation.long_pairs import (
    PairLimits,
    TooLongPairError,
    limits_of_pairs,
    split_long_pairs,
)
from transformer_jax.translation.long_sentences import split_long_sentences

LIMITS = PairLimits(16, 24)


@pytest.fixture(scope="module")
def tokenizer():
    return trained_run().result.translator.tokenizer


def sentences(number, seed=0, longest=9):
    """Sentences of two to nine words; the source has a word more than the target."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(number):
        words = rng.choice(WORDS, rng.integers(2, longest + 1)).tolist()
        pairs.append((" ".join(["ko", *words]) + ".", " ".join(words[::-1]) + "."))
    return pairs


def bare(text):
    return "".join(text.split())


def check(parts, source, target, limits=LIMITS):
    """Nothing is lost, everything fits, and the ids are those of the texts."""
    assert bare("".join(parts.sources)) == bare(source)
    assert bare("".join(parts.targets)) == bare(target)
    assert max(map(len, parts.source_ids)) <= limits.source
    assert max(map(len, parts.target_ids)) <= limits.target


def test_pairs_that_fit_are_left_as_they_are(tokenizer):
    sources, targets = ["ba  be ", "", "ko"], ["", " mi", "ba " * 22]
    parts = split_long_pairs(sources, targets, tokenizer, LIMITS)
    assert (parts.sources, parts.targets) == (sources, targets)
    assert parts.owners == [0, 1, 2]
    assert parts.source_ids == tokenizer.encode_source(sources)
    assert parts.target_ids == tokenizer.encode_target(targets)


@pytest.mark.parametrize("seed", range(5))
def test_sentence_ends_tell_the_parts(tokenizer, seed):
    pairs = sentences(20, seed)
    source, target = (" ".join(side) for side in zip(*pairs, strict=True))
    parts = split_long_pairs([source], [target], tokenizer, LIMITS)
    check(parts, source, target)
    assert parts.sources == split_long_sentences([source], tokenizer, 16).texts
    assert len(parts.sources) > 5
    rest = iter(pairs)
    for part_source, part_target in zip(parts.sources, parts.targets, strict=True):
        own = [next(rest) for _ in range(part_source.count("."))]
        assert part_source == " ".join(source for source, _ in own)
        assert part_target == " ".join(target for _, target in own)


def test_without_sentence_ends_words_are_cut_in_proportion(tokenizer):
    source, target = " ".join(["ba"] * 100), " ".join(["ko"] * 100)
    parts = split_long_pairs([source], [target], tokenizer, LIMITS)
    check(parts, source, target)
    numbers = [
        (len(s.split()), len(t.split()))
        for s, t in zip(parts.sources, parts.targets, strict=True)
    ]
    assert all(abs(source - target) <= 1 for source, target in numbers)


def test_what_has_fewer_sentences_than_parts_is_cut_at_clauses_or_words(tokenizer):
    source = " ".join(["ba"] * 28)
    for target in ("ba be bi bo, ko ku ki ke", "ba be bi bo ko ku ki ke"):
        parts = split_long_pairs([source], [target], tokenizer, LIMITS)
        assert len(parts.sources) == 2
        assert [len(text.split()) for text in parts.targets] == [4, 4]
    # The clauses, although the words would be nearer to the proportion.
    parts = split_long_pairs([source], ["ba be bi, ko ku ki ke"], tokenizer, LIMITS)
    assert parts.targets == ["ba be bi,", "ko ku ki ke"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("ba ko.", "mi bu de. " * 30),
        ("ba " * 10, "ko " * 200),
        ("ba " * 200, "ko"),
        ("ba. " * 200, ""),
        ("", "ba. " * 200),
        (" \u3000" * 50, "ko " * 90),
        ("ba " * 60, "x" * 400),
        ("東京は大きい。" * 9, "大阪もそう。" * 30),
        ("ba " * 60, "\U0001f600" * 60),
    ],
)
def test_whatever_the_sides_are_nothing_is_lost(tokenizer, source, target):
    pairs = ["ba", source, "be"], ["ko", target, "ku"]
    parts = split_long_pairs(*pairs, tokenizer, LIMITS)
    assert parts.owners == [0, *[1] * (len(parts.owners) - 2), 2]
    own = split_long_pairs([source], [target], tokenizer, LIMITS)
    assert parts.sources[1:-1] == own.sources
    assert parts.targets[1:-1] == own.targets
    if source.strip():
        check(own, source, target)


def test_the_limits_are_those_of_search():
    data = DataConfig(source_length=30)
    limits = limits_of_pairs(DecodingConfig(max_extra_length=7), data, None)
    assert limits == (30, 37, None, ())
    wide = DecodingConfig(max_source_tokens=90)
    assert limits_of_pairs(wide, data, None) == (90, 140, None, ())
    assert limits_of_pairs(DecodingConfig(), data, 40) == (30, 40, 40, ())
    assert limits_of_pairs(wide, data, 40) == (40, 40, 40, ())
    tagged = [CorpusConfig(name=name, tag="<2de>", weight=1) for name in "ab"]
    limits = limits_of_pairs(wide, DataConfig(corpora=tagged), 40)
    assert limits.tags == ("<2de>",)


@pytest.mark.parametrize("seed", range(3))
def test_every_part_has_the_tag_of_its_source(tokenizer, seed):
    pairs = sentences(20, seed)
    source, target = (" ".join(side) for side in zip(*pairs, strict=True))
    limits = PairLimits(24, 32, tags=("<2de>", "<2fr>"))
    parts = split_long_pairs([f" <2fr>  {source}"], [target], tokenizer, limits)
    assert len(parts.sources) > 3
    tags, rest = zip(*(part.split(" ", 1) for part in parts.sources), strict=True)
    assert set(tags) == {"<2fr>"}
    assert bare("".join(rest)) == bare(source)
    assert bare("".join(parts.targets)) == bare(target)
    assert max(map(len, parts.source_ids)) <= limits.source
    found = split_long_sentences(
        [f"<2fr> {source}"], tokenizer, limits.source, tags=limits.tags
    )
    assert found.texts == parts.sources
    untagged = split_long_pairs([source], [target], tokenizer, limits)
    assert bare("".join(untagged.sources)) == bare(source)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_pair_that_is_too_long_is_refused_by_number(tokenizer, side):
    texts = {"source": ["ba", "be"], "target": ["ko", "ku"]}
    texts[side][1] = "ba " * 40
    with pytest.raises(
        TooLongPairError,
        match=rf"the {side} of pair 2 has 41 tokens, more than .*split",
    ) as caught:
        split_long_pairs(*texts.values(), tokenizer, LIMITS, "refuse")
    assert (caught.value.index, caught.value.side) == (1, side)


def test_what_cannot_be_cut_has_no_place_in_a_table_of_positions(tokenizer):
    """An emoji is four tokens, a space before it and the end of sentence."""
    sides = ["ba", "\U0001f600 ba"], ["ba", "ba"]
    limits = PairLimits(5, 5, 5)
    with pytest.raises(
        TooLongPairError, match=r"source of pair 2 has 6 .* cut.*length=5"
    ):
        split_long_pairs(*sides, tokenizer, limits)
    split_long_pairs(*sides, tokenizer, PairLimits(5, 5))
    split_long_pairs(*sides, tokenizer, PairLimits(6, 6, 6))
