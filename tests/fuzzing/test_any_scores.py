"""Scores of any text are between their bounds, and those of equal texts are perfect."""

import math

from any_text import texts
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from transformer_jax.text_metrics.bleu import corpus_bleu, paper_bleu, tokenized_bleu
from transformer_jax.text_metrics.quality import translation_quality

LONG = "ba be bi bo bu"  # Of four tokens at least, so that it has all n-grams.


def scores_of(hypotheses, references):
    yield corpus_bleu(hypotheses, references)
    yield corpus_bleu(hypotheses, references, language="zh")
    yield paper_bleu(hypotheses, references)
    options = {"language": "de", "lowercase": True}
    yield tokenized_bleu(hypotheses, references, **options)


def is_percentage(number):
    return -1e-9 <= number <= 100 + 1e-9


@settings(max_examples=examples(10))
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_bleu_of_any_text(pairs):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    for score in scores_of(hypotheses, references):
        assert is_percentage(score.bleu)
        assert all(map(is_percentage, score.precisions))
        assert 0 <= score.brevity_penalty <= 1
        assert score.chrf is None or is_percentage(score.chrf)
        assert len(str(score).splitlines()) == 1


@settings(max_examples=examples(10))
@given(st.lists(texts, max_size=3))
def test_any_text_is_a_perfect_translation_of_itself(sentences):
    sentences = [LONG, *sentences]
    for score in scores_of(sentences, sentences):
        assert math.isclose(score.bleu, 100)
        assert score.hypothesis_length == score.reference_length


@settings(max_examples=examples(5))
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=3))
def test_quality_and_comparison_of_any_text(rows):
    hypotheses, baseline, references = map(list, zip(*rows, strict=True))
    found = translation_quality(
        hypotheses, [references], baseline=baseline, resamples=5
    )
    assert is_percentage(found.bleu)
    assert is_percentage(found.chrf)
    assert is_percentage(found.chrf_plus_plus)
    assert found.ter >= 0
    for comparison in found.comparison.values():
        assert 0 < comparison.p_value <= 1
        assert comparison.interval[0] <= comparison.interval[1]
        difference = comparison.score - comparison.baseline
        assert math.isclose(comparison.difference, difference, abs_tol=1e-9)
    same = translation_quality(
        hypotheses, [references], baseline=hypotheses, resamples=5
    )
    for comparison in same.comparison.values():
        assert (comparison.difference, comparison.p_value) == (0, 1)
