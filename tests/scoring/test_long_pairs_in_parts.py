"""A pair that is too long has the scores and the links of its parts done alone."""

import numpy as np
import pytest
from tiny_runs import WORDS, reversing_run, tiny_config, trained_run

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.errors import InputError
from transformer_jax.scoring import teacher_forcing
from transformer_jax.scoring.alignment import align, align_translations
from transformer_jax.scoring.scores import score, score_tokens
from transformer_jax.scoring.words import AlignedPart, join_links
from transformer_jax.translation.translator import Translator

# By 24 tokens search cuts a source after every second sentence.
SENTENCES = [
    (
        f"{a} {b} bo du ke mi ka ba.",
        f"ba ka mi ke du bo {b}" + " ko" * (i % 3) + f" {a}.",
    )
    for i, (a, b) in enumerate(zip(WORDS, WORDS[::-1], strict=True))
]
SOURCE, TARGET = (" ".join(side) for side in zip(*SENTENCES, strict=True))
PARTS = [
    tuple(" ".join(side) for side in zip(*SENTENCES[i : i + 2], strict=True))
    for i in range(0, len(SENTENCES), 2)
]
SIDES = [source for source, _ in PARTS], [target for _, target in PARTS]


@pytest.fixture(scope="module")
def translator() -> Translator:
    return trained_run().result.translator


@pytest.fixture(scope="module")
def learned(translator, random_params) -> Translator:
    """A model with positions for no more than training had."""
    config = tiny_config(model__positions="learned", model__max_length=24)
    return Translator(config, random_params(config.model), translator.tokenizer)


def shifted(links_of_parts):
    """The links of parts, the words before them counted."""
    links, before = [], [0, 0]
    for (source, target), own in zip(PARTS, links_of_parts, strict=True):
        links += [(s + before[0], t + before[1]) for s, t in own]
        before = [before[0] + len(source.split()), before[1] + len(target.split())]
    return links


def test_a_score_is_the_sum_of_its_parts_each_ended(translator):
    counts = []
    sides = ["ba", SOURCE, "be ba"], ["ko", TARGET, "ba"]
    first, found, last = score(translator, *sides, on_done=counts.append)
    alone = score(translator, *SIDES)
    assert found.log_prob == pytest.approx(sum(p.log_prob for p in alone), abs=1e-4)
    assert found.score == pytest.approx(sum(p.score for p in alone), abs=1e-4)
    assert found.num_tokens == sum(p.num_tokens for p in alone)
    assert found.pieces == [piece for p in alone for piece in p.pieces]
    assert found.pieces.count("</s>") == len(PARTS)
    np.testing.assert_allclose(
        found.token_log_probs,
        [each for p in alone for each in p.token_log_probs],
        atol=1e-4,
    )
    assert counts == sorted(counts)
    assert counts[-1] == 3
    others = score(translator, ["ba", "be ba"], ["ko", "ba"])
    for one, other in zip((first, last), others, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_links_are_those_of_the_parts_alone(translator):
    links = align(translator, ["ba be", SOURCE], ["be ba", TARGET])
    assert links[0] == align(translator, ["ba be"], ["be ba"])[0]
    assert links[1] == shifted(align(translator, *SIDES))
    assert [target for _, target in links[1]] == list(range(len(TARGET.split())))


@pytest.mark.slow
def test_translations_are_aligned_in_the_parts_of_their_search(translator):
    sources = ["ba be ko", SOURCE, ""]
    for decoding in ({"min_length": 2}, {"min_length": 2, "max_source_tokens": 60}):
        n_best = translator.n_best(sources, 2, max_extra_length=3, **decoding)
        found = align_translations(translator, sources, n_best, **decoding)
        assert [len(each) for each in found] == [2, 2, 1]
        assert not n_best[0][0].parts
        assert not n_best[2][0].parts
        for translation, links in zip(n_best[1], found[1], strict=True):
            assert len(translation.parts) > 1
            assert translation.text == " ".join(text for _, text in translation.parts)
            expected, before = [], [0, 0]
            for source, text in translation.parts:
                (own,) = align(translator, [source], [text], **decoding)
                expected += [(s + before[0], t + before[1]) for s, t in own]
                before = [
                    before[0] + len(source.split()),
                    before[1] + len(text.split()),
                ]
            assert links == expected
            assert len(links) == len(translation.text.split()) > len(translation.parts)


def test_words_that_a_cut_goes_through_are_one(translator):
    tokenizer = translator.tokenizer
    parts = [
        AlignedPart("ba be", "ko", [(1, 0)]),
        AlignedPart("ko", "ku", [(0, 0)]),
        AlignedPart("", "", []),
        AlignedPart("mi ba", "mi be", [(0, 0), (1, 1)]),
    ]
    links = join_links("ba beko mi ba", "koku mi be", parts, tokenizer)
    assert links == [(1, 0), (2, 1), (3, 2)]
    links = join_links("ba be ko mi ba", "ko ku  mi be", parts, tokenizer)
    assert links == [(1, 0), (2, 1), (3, 2), (4, 3)]
    links = join_links("ba be ko mi ba", "koku mi be", parts, tokenizer)
    assert links == [(1, 0), (3, 1), (4, 2)], "the first part's link holds"


def test_the_tag_of_every_part_is_one_word_of_the_line(translator):
    parts = [
        AlignedPart("<2de> ba be", "ko ku", [(0, 0), (2, 1)]),
        AlignedPart("<2de> mi ba", "mi be", [(1, 0), (0, 1)]),
    ]
    sides = "<2de>  ba be mi ba", "ko ku mi be"
    links = join_links(*sides, parts, translator.tokenizer, ["<2de>"])
    assert links == [(0, 0), (2, 1), (3, 2), (0, 3)]


def test_every_part_of_a_long_line_is_translated_with_its_tag(translator):
    tagged = [CorpusConfig(name=name, tag="ko", weight=1) for name in "ab"]
    config = translator.config.replace(data=DataConfig(corpora=tagged))
    with_tags = Translator(config, translator.params, translator.tokenizer)
    line = "ko " + " ".join(f"ba be {word}." for word in WORDS * 9)
    (best,) = with_tags.n_best([line], 1, max_source_tokens=30)[0]
    assert len(best.parts) > 2
    assert all(source.startswith("ko ba be ") for source, _ in best.parts)
    (links,) = align(with_tags, [line], [best.text], max_source_tokens=30)
    assert max(source for source, _ in links) < len(line.split())


@pytest.mark.slow
def test_attention_is_drawn_in_parts(translator):
    maps = translator.attention(SOURCE, TARGET)
    query = key = 0
    for part in PARTS:
        own = translator.attention(*part)
        ends = query + len(own.target_pieces), key + len(own.source_pieces)
        assert maps.target_pieces[query : ends[0]] == own.target_pieces
        assert maps.source_pieces[key : ends[1]] == own.source_pieces
        for whole, block, rows, columns in (
            (maps.encoder, own.encoder, (key, ends[1]), (key, ends[1])),
            (maps.decoder, own.decoder, (query, ends[0]), (query, ends[0])),
            (maps.cross, own.cross, (query, ends[0]), (key, ends[1])),
        ):
            found = whole[:, :, slice(*rows)]
            np.testing.assert_allclose(found[..., slice(*columns)], block, atol=1e-6)
            np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-5)
        query, key = ends
    assert maps.cross.shape[2:] == (query, key)


def test_no_row_is_wider_than_the_parts(translator, monkeypatch):
    widths = []
    make_batch = teacher_forcing.make_batch

    def noted(*arguments, **options):
        batch = make_batch(*arguments, **options)
        widths.append(batch.source.shape[1])
        return batch

    monkeypatch.setattr(teacher_forcing, "make_batch", noted)
    score(translator, [SOURCE * 4], [TARGET * 4])
    align(translator, [SOURCE * 4], [TARGET * 4])
    assert max(widths) <= 96  # 24 tokens and 50 more, as the widths are.


@pytest.mark.long
def test_learned_positions_are_never_exceeded(learned):
    (found,) = score(learned, [SOURCE], [TARGET])
    alone = score(learned, *SIDES)
    assert found.log_prob == pytest.approx(sum(p.log_prob for p in alone), abs=1e-3)
    assert align(learned, [SOURCE], [TARGET]) == [shifted(align(learned, *SIDES))]
    assert learned.attention(SOURCE, TARGET).cross.shape[0] == 2
    n_best = learned.n_best(["ba", SOURCE], 1, max_extra_length=5)
    ((_,), (links,)) = align_translations(learned, ["ba", SOURCE], n_best)
    assert len(links) == len(n_best[1][0].text.split())
    with pytest.raises(InputError, match=r"source of pair 2 has 25 tokens.*length=24"):
        score_tokens(learned, [[5], [5] * 25], [[5], [5]])


def test_long_pairs_are_refused_where_they_are_to_be(translator):
    sides = ["ba", SOURCE], ["ko", TARGET]
    for work in (score, align):
        with pytest.raises(InputError, match=r"the source of pair 2 has \d+ tokens"):
            work(translator, *sides, too_long="refuse")
        with pytest.raises(InputError, match="the target of pair 1 has 75 tokens"):
            work(translator, ["ba"], ["ko " * 74], too_long="refuse")
        assert work(translator, ["ba"], ["ko " * 73], too_long="refuse")


@pytest.mark.slow
def test_what_search_wrote_in_parts_has_the_score_of_the_search():
    """The translations have as many words as the sources, which tells the parts."""
    translator = reversing_run()[1].translator
    rng = np.random.default_rng(0)
    sources = [" ".join(rng.choice(WORDS, 7 * number)) for number in (1, 2, 8, 20)]
    lists = translator.n_best(sources, 1, max_source_tokens=8)
    texts = [best.text for (best,) in lists]
    found = score(translator, sources, texts, max_source_tokens=8, max_extra_length=1)
    same = 0
    for (best,), again in zip(lists, found, strict=True):
        if all(len(s.split()) == len(t.split()) for s, t in best.parts):
            assert again.score == pytest.approx(best.score, abs=1e-3)
            assert again.pieces == best.pieces
            same += 1
    assert same >= 3
    whole = score(translator, sources, texts, max_source_tokens=1_000)
    assert abs(whole[2].score - lists[2][0].score) > 1.0
