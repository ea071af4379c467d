"""BLEU against mteval, multi-bleu and Moses themselves, on real system outputs."""

import csv
from pathlib import Path

import pytest

from transformer_jax.errors import InputError
from transformer_jax.evaluation.bleu import (
    corpus_bleu,
    moses_tokenize,
    multi_bleu,
    paper_bleu,
    tokenized_bleu,
)

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
WMT17 = DATA / "oracle/wmt17_en_de"
MULTI30K = DATA / "multi30k"

needs_wmt17 = pytest.mark.skipif(
    not WMT17.exists(), reason="the WMT17 system outputs are not on this machine"
)
needs_multi30k = pytest.mark.skipif(
    not MULTI30K.exists(), reason="Multi30k is not on this machine"
)

# The first has curly quotes and no-break spaces, the second is the best.
SYSTEMS = [
    "newstest2017.PROMT-Rule-based.4735.en-de",
    "newstest2017.uedin-nmt.4722.en-de",
    *(
        pytest.param(system, marks=pytest.mark.slow)
        for system in [
            "newstest2017.C-3MA.4959.en-de",
            "newstest2017.KIT.4950.en-de",
            "newstest2017.LMU-nmt-reranked.4934.en-de",
            "newstest2017.SYSTRAN.4847.en-de",
            "newstest2017.online-A.0.en-de",
            "newstest2017.online-F.0.en-de",
        ]
    ),
]


def read_lines(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def read_expected(name, system):
    with open(WMT17 / name, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return next(row for row in rows if row["system"] == system)


@pytest.fixture(params=SYSTEMS)
def system(request):
    return request.param


@pytest.fixture
def texts(system):
    return read_lines(WMT17 / system), read_lines(WMT17 / "ref0.de")


@needs_wmt17
def test_corpus_bleu_is_mteval_13a(system, texts):
    expected = read_expected("expected_sacrebleu.tsv", system)
    score = corpus_bleu(*texts)
    assert round(score.bleu, 2) == float(expected["BLEU_mteval-v13a"])
    if expected["chrF"]:
        assert f"{score.chrf:.4f}" == expected["chrF"]
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


@needs_multi30k
@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_multi30k_lines_are_tokenised_as_published(language):
    lines = read_lines(MULTI30K / f"test_2016_flickr.{language}")
    published = read_lines(MULTI30K / f"tok/test_2016_flickr.lc.norm.tok.{language}")
    assert moses_tokenize(lines, language=language, lowercase=True) == published


def test_moses_keeps_hyphens_and_compounds_are_split_at_them():
    # `Nord-` has nothing after its hyphen; in `a-b-c` the first match takes the b.
    line = ["„Ein“ U-Boot, Nord- und Ostsee, a-b-c."]
    assert moses_tokenize(line, language="de", punctuation=None) == [
        "„ Ein “ U-Boot , Nord- und Ostsee , a-b-c ."
    ]
    assert moses_tokenize(
        line, language="de", punctuation="unicode", split_compounds=True
    ) == [
        "„ Ein &quot; U ##AT##-##AT## Boot , Nord- und Ostsee , a ##AT##-##AT## b-c ."
    ]


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
    with pytest.raises(InputError, match="must be lists of sentences"):
        metric("ab", "ab")
