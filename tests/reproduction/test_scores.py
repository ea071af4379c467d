"""Scores with intervals, against sacreBLEU's own and by hand."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from tiny_runs import trained_run
from wmt17 import UEDIN, needs_wmt17, read_system

from transformer_jax.config.data import DataConfig
from transformer_jax.evaluation.evaluate import EvaluationResult
from transformer_jax.reproduction.scores import (
    parsing_scores,
    perplexities,
    translation_scores,
)
from transformer_jax.text_metrics.bleu import paper_bleu
from transformer_jax.text_metrics.significance import ratio_interval


def result_of(translations, references):
    return EvaluationResult({}, references, references, translations)


@needs_wmt17
def test_both_protocols_with_the_interval_of_sacrebleu(monkeypatch):
    system, reference = (read_system(name)[:400] for name in (UEDIN, "ref0.de"))
    paper, sacre = translation_scores(result_of(system, reference), DataConfig())
    assert paper.value == paper_bleu(system, reference).bleu
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    theirs = BLEU().corpus_score(system, [reference], n_bootstrap=1_000)
    assert sacre.value == theirs.score
    low, high = sacre.interval
    # It gives half the width of the middle 95 percent.
    assert (high - low) / 2 == pytest.approx(theirs._ci, rel=0.02)
    assert low < sacre.value < high
    assert paper.interval[0] < paper.value < paper.interval[1]


@pytest.mark.parametrize(
    ("target", "names"),
    [("de", ["moses-de", "13a"]), ("fr", ["moses-fr", "13a"]), ("xx", ["13a"])],
)
def test_the_protocols_are_those_of_the_language(target, names):
    texts = ["La maison est rouge et le chat dort."] * 3
    data = DataConfig(source_language="en", target_language=target)
    scores = translation_scores(result_of(texts, texts), data)
    for name, score in zip(names, scores, strict=True):
        assert name in score.signature
    assert all(score.value == pytest.approx(100) for score in scores)
    assert ("compounds:split" in scores[0].signature) == (target == "de")


def test_f1_and_its_interval():
    gold = ["(TOP (S (NP (PRP I)) (VP (VBP sleep))))"] * 20
    test = ["(TOP (S (NP (PRP I)) (NP (NN sleep))))"] * 10 + gold[10:]
    (score,) = parsing_scores(result_of(test, gold))
    # 10 trees with 2 of 3 brackets, 10 with all.
    assert score.value == pytest.approx(100 * 50 / 60)
    assert score.interval[0] < score.value < score.interval[1] <= 100
    (whole,) = parsing_scores(result_of(gold, gold))
    assert whole.interval == (100, 100)


def test_the_interval_of_a_ratio_is_as_wide_as_theory_says():
    rng = np.random.default_rng(0)
    hits = rng.random(2_000) < 0.3
    low, high = ratio_interval(hits, np.ones(2_000))
    half = 1.96 * 100 * math.sqrt(0.3 * 0.7 / 2_000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_perplexity_per_word():
    tokenizer = trained_run().result.translator.tokenizer
    references = ["ba be", "ko"]
    pieces = sum(len(tokenizer.encode_target([text])[0]) for text in references)
    found = perplexities(1.5, references, tokenizer)
    assert found["perplexity_per_subword"] == pytest.approx(math.exp(1.5))
    # Three words and two ends.
    total = 1.5 * pieces
    assert found["perplexity_per_word"] == pytest.approx(math.exp(total / 5))
