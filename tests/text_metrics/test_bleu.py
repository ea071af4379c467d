"""BLEU against mteval and multi-bleu themselves, on real system outputs."""

import functools

import pytest
from wmt17 import SYSTEMS, needs_wmt17, read_expected, read_system

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.bleu import (
    bleu,
    corpus_bleu,
    paper_bleu,
    tokenized_bleu,
)
from transformer_jax.text_metrics.protocols import Protocol, make_protocol


def multi_bleu(hypotheses, references):
    return bleu(hypotheses, [references], make_protocol("multi-bleu"))


@pytest.fixture(params=SYSTEMS)
def system(request):
    return request.param


@pytest.fixture
def texts(system):
    return read_system(system), read_system("ref0.de")


@needs_wmt17
def test_corpus_bleu_is_mteval_13a(system, texts):
    expected = read_expected("expected_sacrebleu.tsv", system)
    score = corpus_bleu(*texts)
    assert round(score.bleu, 2) == float(expected["BLEU_mteval-v13a"])
    assert "case:mixed|eff:no|tok:13a|smooth:exp" in score.signature


@needs_wmt17
def test_multi_bleu_of_text_as_it_is(system, texts):
    expected = read_expected("expected_multi_bleu.tsv", system)
    assert str(multi_bleu(*texts)) == expected["multibleu_raw"]


@needs_wmt17
def test_tokenized_bleu_is_moses_then_multi_bleu(system, texts):
    expected = read_expected("expected_multi_bleu.tsv", system)
    score = tokenized_bleu(*texts, language="de", punctuation="unicode")
    assert str(score) == expected["multibleu_moses_tok"]


@needs_wmt17
def test_paper_bleu_is_the_authors_script(system, texts):
    expected = read_expected("expected_multi_bleu.tsv", system)
    assert str(paper_bleu(*texts)) == expected["multibleu_get_ende_atat"]


@pytest.mark.parametrize(
    ("score", "hypothesis", "reference", "lengths"),
    [
        # mteval-v13a leaves a hyphen inside a word, Moses too; the paper splits it.
        (corpus_bleu, "Das U-Boot ist hier.", "Das U-Boot ist da.", (5, 5)),
        (paper_bleu, "Das U-Boot ist hier.", "Das U-Boot ist da.", (7, 7)),
        (
            functools.partial(tokenized_bleu, language="de"),
            "Das U-Boot, das hier ist, usw.",
            "Das U-Boot ist hier.",
            (8, 5),
        ),
    ],
)
def test_tokens_of_each_protocol_by_hand(score, hypothesis, reference, lengths):
    found = score([hypothesis], [reference])
    assert (found.hypothesis_length, found.reference_length) == lengths


def test_scores_of_tokens_are_those_of_multi_bleu():
    """Each protocol is a tokenisation, and then multi-bleu."""
    hypothesis, reference = "das U-Boot ist hier am See.", "das U-Boot ist da am See."
    moses = multi_bleu(["das U-Boot ist hier am See ."], ["das U-Boot ist da am See ."])
    assert tokenized_bleu([hypothesis], [reference], language="de").bleu == moses.bleu
    split = multi_bleu(
        ["das U ##AT##-##AT## Boot ist hier am See ."],
        ["das U ##AT##-##AT## Boot ist da am See ."],
    )
    assert paper_bleu([hypothesis], [reference]).bleu == split.bleu
    assert split.bleu > moses.bleu


def test_multi_bleu_by_hand():
    # 5 of 6 unigrams, 3 of 5 bigrams, 2 of 4 trigrams, 1 of 3 4-grams; one token less
    # than the reference: exp(1 - 7/6) * (5/6 * 3/5 * 2/4 * 1/3) ** (1/4).
    score = multi_bleu(["the cat sat on mat mat"], ["the cat sat on the mat ."])
    assert score.precisions == pytest.approx((500 / 6, 60, 50, 100 / 3))
    assert score.brevity_penalty == pytest.approx(0.846482)
    assert score.bleu == pytest.approx(84.6482 * (1 / 12) ** 0.25, rel=1e-5)
    assert (score.hypothesis_length, score.reference_length) == (6, 7)


def test_multi_bleu_does_not_smooth():
    assert multi_bleu(["a b c d"], ["a b c e"]).bleu == 0.0
    assert corpus_bleu(["a b c d"], ["a b c e"]).bleu > 0.0


def test_no_break_space_is_part_of_a_token():
    score = multi_bleu(["10\u00a0km weit von hier"], ["10 km weit von hier"])
    assert (score.hypothesis_length, score.reference_length) == (4, 5)


def test_lowercase():
    hypotheses, references = ["Das ist EIN Test ."], ["das IST ein test ."]
    assert corpus_bleu(hypotheses, references).bleu < 50
    folded = corpus_bleu(hypotheses, references, lowercase=True)
    assert folded.bleu == pytest.approx(100)
    assert folded.chrf == pytest.approx(100)
    assert "case:lc" in folded.signature
    tokenized = tokenized_bleu(hypotheses, references, language="de", lowercase=True)
    assert tokenized.bleu == pytest.approx(100)
    assert "case:lc" in tokenized.signature


def test_several_references_by_hand():
    # Each n-gram counts as often as in the reference that has it most often; of
    # lengths, the closest counts, of two as close the shorter.
    hypothesis = ["a b c d"]
    references = [["a b x d e"], ["y b c"]]
    score = bleu(hypothesis, references, Protocol(tokenizer="none"))
    assert score.precisions[:2] == pytest.approx((100, 200 / 3))
    assert (score.hypothesis_length, score.reference_length) == (4, 3)
    assert "nrefs:2" in score.signature
    assert multi_bleu(hypothesis, references[0]).precisions[1] == pytest.approx(100 / 3)


def test_tokenizers_of_sacrebleu_differ():
    pair = ["10 € \u2013 „so“"], [["10€ \u2013 „so“"]]
    scores = {
        tokenizer: bleu(*pair, Protocol(tokenizer=tokenizer)).hypothesis_length
        for tokenizer in ("13a", "intl", "char")
    }
    assert scores == {"13a": 4, "intl": 6, "char": 8}


def test_signatures_tell_the_protocols_apart():
    pair = ["ein Test"], ["ein Test"]
    signatures = {
        score.signature
        for score in (
            corpus_bleu(*pair),
            corpus_bleu(*pair, lowercase=True),
            paper_bleu(*pair),
            multi_bleu(*pair),
            tokenized_bleu(*pair, language="de"),
            tokenized_bleu(*pair, language="en"),
            tokenized_bleu(*pair, language="de", punctuation=None),
            tokenized_bleu(*pair, language="de", lowercase=True),
        )
    }
    assert len(signatures) == 8
    assert "sacremoses:" in paper_bleu(*pair).signature
    assert "compounds:split" in paper_bleu(*pair).signature


@pytest.mark.parametrize("metric", [corpus_bleu, paper_bleu, multi_bleu])
def test_empty_hypotheses_are_scored(metric):
    references = ["ein Haus am See ist schön", "ja"]
    assert metric(["", ""], references).bleu == 0.0
    one_empty = metric([references[0], ""], references)
    assert 0.0 < one_empty.bleu < 100.0
    assert metric([""], [""]).bleu == 0.0


@pytest.mark.parametrize("metric", [corpus_bleu, paper_bleu, multi_bleu])
def test_wrong_counts_are_refused(metric):
    with pytest.raises(InputError, match="2 hypotheses and 1 references: there must"):
        metric(["a", "b"], ["a"])
    with pytest.raises(InputError, match=r"0 hypotheses and 0 references: .* nothing"):
        metric([], [])
    with pytest.raises(InputError, match="must be a list of sentences"):
        metric("ab", "ab")
