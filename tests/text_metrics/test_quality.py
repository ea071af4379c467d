"""chrF and TER against the programs they come from, and the protocols by name."""

import pytest
from wmt17 import C_3MA, PROMT, needs_wmt17, read_expected, read_system

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.bleu import corpus_bleu, paper_bleu, tokenized_bleu
from transformer_jax.text_metrics.quality import translation_quality

HYPOTHESES = ["Das U-Boot ist „hier“ .", "EIN Haus am See ist schön."]
REFERENCES = ["Das U-Boot ist “hier”.", "Ein Haus am See ist sehr schön."]


@needs_wmt17
@pytest.mark.long
@pytest.mark.parametrize("system", [PROMT, C_3MA])
def test_scores_are_those_of_the_original_programs(system):
    """Tercom's TER to the digits it has, chrF++.py's chrF; and mteval's BLEU."""
    expected = read_expected("expected_sacrebleu.tsv", system)
    found = translation_quality(read_system(system), [read_system("ref0.de")])
    assert f"{found.ter / 100:.3f}" == expected["TER"]
    assert found.bleu == pytest.approx(float(expected["BLEU_mteval-v13a"]), abs=0.005)
    if system == C_3MA:
        assert f"{found.chrf:.4f}" == expected["chrF"]
        # chrF++.py adds 1e-16 where an order has no n-grams, sacreBLEU leaves it out.
        assert found.chrf_plus_plus == pytest.approx(
            float(expected["chrF++"]), abs=0.002
        )
    assert (found.num_sentences, found.num_references) == (3004, 1)


def test_ter_and_chrf_by_hand():
    # One word of five is another: an edit; nothing else differs.
    found = translation_quality(
        ["das Haus ist sehr klein"], [["das Haus ist sehr rot"]]
    )
    assert found.ter == pytest.approx(20.0)
    # The same but for the order: one shift.
    found = translation_quality(["ist das Haus klein"], [["das Haus ist klein"]])
    assert found.ter == pytest.approx(25.0)
    # chrF of one n-gram order at a time: precision = recall = 1 for all of them.
    same = translation_quality(["ein Haus"], [["ein Haus"]])
    assert (same.chrf, same.chrf_plus_plus) == pytest.approx((100, 100))


@pytest.mark.parametrize(
    ("protocol", "options", "expected"),
    [
        ("sacrebleu", {}, corpus_bleu(HYPOTHESES, REFERENCES)),
        (
            "sacrebleu",
            {"lowercase": True},
            corpus_bleu(HYPOTHESES, REFERENCES, lowercase=True),
        ),
        ("paper-en-de", {}, paper_bleu(HYPOTHESES, REFERENCES)),
        ("paper-en-de", {"language": "German"}, paper_bleu(HYPOTHESES, REFERENCES)),
        (
            "multi30k",
            {"language": "de"},
            tokenized_bleu(HYPOTHESES, REFERENCES, language="de", lowercase=True),
        ),
    ],
)
def test_protocols_by_name(protocol, options, expected):
    found = translation_quality(HYPOTHESES, [REFERENCES], protocol=protocol, **options)
    assert (found.bleu, found.signature) == (expected.bleu, expected.signature)
    assert str(found) == str(expected)
    assert 20 < found.bleu < 90
    assert found.protocol == protocol


def test_multi_bleu_in_lower_case():
    found = translation_quality(
        ["EIN Haus am See ,"], [["ein haus am see ,"]],
        protocol="multi-bleu", lowercase=True,
    )  # fmt: skip
    assert found.bleu == pytest.approx(100)
    assert found.chrf == pytest.approx(100)
    assert "case:lc" in found.signature
    assert "case:lc" in found.chrf_signature


def test_ter_by_hand():
    # Of 5 tokens one is moved and one is missing; case does not count.
    found = translation_quality(["See am ein Haus"], [["ein Haus am see schön"]])
    assert found.ter == pytest.approx(100 * 3 / 5)


def test_of_several_references_the_better_counts():
    found = translation_quality(HYPOTHESES, [REFERENCES, HYPOTHESES])
    assert found.bleu == pytest.approx(100)
    assert found.chrf == pytest.approx(100)
    assert found.ter == 0
    assert found.num_references == 2
    for signature in (found.signature, found.chrf_signature, found.ter_signature):
        assert signature.startswith("nrefs:2|")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "paper"}, "protocol=paper must be one of sacrebleu, paper-en-de"),
        ({"protocol": "multi30k"}, "protocol=multi30k needs the language"),
        ({"protocol": "paper-en-de", "lowercase": True}, "paper-en-de takes no lower"),
        ({"protocol": "multi-bleu", "tokenizer": "intl"}, "takes no tokenizer"),
        ({"protocol": "multi-bleu", "language": "de"}, "multi-bleu takes no language"),
        (
            {"protocol": "paper-en-de", "language": "fr"},
            "language='fr' does not go with",
        ),
        ({"tokenizer": "14a"}, "tokenizer=14a must be one of 13a, intl"),
        ({"baseline": ["a"]}, "1 hypotheses and 2 references"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        translation_quality(HYPOTHESES, [REFERENCES], **options)


def test_every_set_of_references_has_as_many():
    with pytest.raises(InputError, match="2 hypotheses and 2 and 1 references"):
        translation_quality(HYPOTHESES, [REFERENCES, REFERENCES[:1]])
    with pytest.raises(InputError, match="no references: there is nothing to score"):
        translation_quality(HYPOTHESES, [])
