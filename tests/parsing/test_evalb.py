"""Scores of EVALB: its report to the character, and F1 by another way."""

import random
from collections import Counter
from pathlib import Path

import pytest
from made_up_trees import change, random_trees
from treebanks import EVALB, each_development_part, needs_evalb

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning
from transformer_jax.parsing.evalb import evalb
from transformer_jax.parsing.evalb_parameters import (
    EvalbParameters,
    load_evalb_parameters,
)
from transformer_jax.parsing.treebank import read_trees
from transformer_jax.parsing.trees import Tree, read_brackets

# Written by EVALB's C program, with its corners: tags of quotes that differ, labels
# that are equal, a label over itself, trees side by side, none, other words, F1 of 0.
GOLDEN = Path(__file__).resolve().parents[1] / "golden/evalb"
PUNCTUATION = {",", ".", ":", "``", "''"}


def parses(path):
    lines = path.read_text().splitlines()
    return [read_brackets(line, str(path)) for line in lines]


def tree(text):
    return Tree.from_text(text)


def test_the_report_is_that_of_the_c_program():
    parameters = load_evalb_parameters(GOLDEN / "evalb.prm")
    gold, test = parses(GOLDEN / "gold.trees"), parses(GOLDEN / "test.trees")
    result = evalb(gold, test, parameters)
    assert str(result) == (GOLDEN / "report.txt").read_text()
    messages = [
        f"{number} : {sentence.problem}\n"
        for number, sentence in enumerate(result.sentences, start=1)
        if sentence.problem
    ]
    assert "".join(messages) == (GOLDEN / "messages.txt").read_text()
    assert result.short.f1 == 0.0


@needs_evalb
@pytest.mark.parametrize(
    ("parameters", "report"),
    [
        ("sample.prm", "sample.out.evalb-c-run"),
        ("COLLINS.prm", "sample.out.COLLINS-prm.evalb-c-run"),
    ],
)
def test_the_reports_of_evalbs_own_sample(parameters, report):
    settings = load_evalb_parameters(EVALB / parameters)
    result = evalb(parses(EVALB / "sample.gld"), parses(EVALB / "sample.tst"), settings)
    assert str(result) == (EVALB / report).read_text()


@needs_evalb
def test_the_defaults_are_those_of_collins():
    assert load_evalb_parameters(EVALB / "COLLINS.prm") == EvalbParameters()


def spans(node, start=0):
    """The constituents of a tree as (label, first, last), and the words, by recursion.

    Punctuation is no word, and PRT is ADVP, as by COLLINS.prm.
    """
    if node.is_leaf:
        return [], start + (node.label not in PUNCTUATION)
    found, end = [], start
    for child in node.children:
        inside, end = spans(child, end)
        found += inside
    label = "ADVP" if node.label == "PRT" else node.label
    return found + [(label, start, end)] * (end > start and label != "TOP"), end


def crosses(one, other):
    (_, a, b), (_, c, d) = one, other
    return a < c < b < d or c < a < d < b


def test_scores_are_those_of_a_simple_count():
    rng = random.Random(5)
    golds = random_trees(rng, 400)
    tests = [change(rng, gold, rng.choice([0.0, 0.1, 0.4])) for gold in golds]
    result = evalb(golds, tests)
    matched = num_gold = num_test = 0
    for gold, test, found in zip(golds, tests, result.sentences, strict=True):
        (gold_spans, words), (test_spans, _) = spans(gold), spans(test)
        if not words:
            assert found.status == "skipped"
            continue
        both = sum((Counter(gold_spans) & Counter(test_spans)).values())
        crossing = sum(any(crosses(a, b) for b in gold_spans) for a in test_spans)
        assert (found.matched, found.gold) == (both, len(gold_spans))
        assert (found.test, found.crossing) == (len(test_spans), crossing)
        assert found.words == words
        matched, num_gold = matched + both, num_gold + len(gold_spans)
        num_test += len(test_spans)
    assert result.all.f1 == pytest.approx(200 * matched / (num_gold + num_test))
    assert 50 < result.all.f1 < 95
    assert result.all.num_crossing > 10


def test_gold_against_itself_is_all_right():
    trees = random_trees(random.Random(6), 100)
    scores = evalb(trees, trees).all
    assert scores.recall == scores.precision == scores.f1 == 100.0
    assert scores.complete_match == scores.tagging_accuracy == 100.0


@pytest.mark.slow
@each_development_part
def test_a_treebank_against_itself_is_all_right(files):
    for cleaning in (None, TreeCleaning()):
        trees = read_trees(files, cleaning)
        scores = evalb(trees, trees).all
        assert scores.f1 == scores.complete_match == scores.no_crossing == 100.0
        assert scores.num_valid == len(trees)


def test_labels_may_not_count():
    gold, test = tree("(TOP (S (NN a) (NN b)))"), tree("(TOP (X (NN a) (NN b)))")
    assert evalb([gold], [test]).all.f1 == 0.0
    unlabeled = EvalbParameters(labeled=False)
    assert evalb([gold], [test], unlabeled).all.f1 == 100.0


def test_equal_words_and_labels_are_equal_both_ways():
    one = tree("(TOP (ADVP (NN This) (PRT x)))")
    other = tree("(TOP (PRT (NN this) (ADVP x)))")
    assert evalb([one], [other]).sentences[0].problem == "Words unmatch (This|this)"
    parameters = EvalbParameters(equal_words=(("This", "this"),))
    for pair in ([one], [other]), ([other], [one]):
        scores = evalb(*pair, parameters).all
        assert scores.f1 == scores.tagging_accuracy == 100.0


def test_a_label_over_itself_counts_as_often_as_both_have_it():
    once = tree("(TOP (NP (NN a)))")
    thrice = tree("(TOP (NP (NP (NP (NN a)))))")
    scores = evalb([once], [thrice]).all
    assert (scores.num_matched, scores.recall) == (1, 100.0)
    assert evalb([thrice], [once]).all.precision == 100.0


def test_the_cutoff_is_by_the_words_of_the_gold_tree():
    trees = [tree(f"(TOP (NP {'(NN a) ' * count}(. .)))") for count in (1, 2, 3)]
    result = evalb(trees, trees, EvalbParameters(cutoff_length=3))
    assert [one.length for one in result.sentences] == [2, 3, 4]
    assert (result.all.num_sentences, result.short.num_sentences) == (3, 2)


def test_no_parse_is_skipped():
    gold = tree("(TOP (NP (NN a)))")
    for missing in (None, [], tree("(TOP (. .))")):
        result = evalb([gold, gold], [missing, gold])
        assert result.sentences[0].status == "skipped"
        assert (result.all.num_skipped, result.all.f1) == (1, 100.0)


def test_too_many_errors_end_it():
    gold, test = tree("(TOP (NP (NN a)))"), tree("(TOP (NP (NN b)))")
    parameters = EvalbParameters(max_errors=2)
    assert evalb([gold] * 3, [test] * 3, parameters).all.num_errors == 3
    with pytest.raises(InputError, match=r"5: Words unmatch \(a\|b\), after 3"):
        evalb([gold] * 5, [gold, *[test] * 4], parameters)


def test_what_is_no_tree_is_named():
    gold = tree("(TOP (NP (NN a)))")
    for tests, what in (
        (["(NN a)"], r"test\[0\] is '\(NN a\)'; expected a Tree, as Tree.from_text"),
        ([["(NN a)"]], r"test\[0\] is '\(NN a\)'; expected a Tree"),
        (gold, "test= is one parse; expected a list"),
        (str(gold), "test= is one parse; expected a list"),
    ):
        with pytest.raises(InputError, match=what):
            evalb([gold], tests)


def test_trees_must_be_as_many():
    gold = tree("(TOP (NP (NN a)))")
    for golds, tests in (([gold], []), ([], [])):
        with pytest.raises(InputError, match=f"{len(golds)} gold trees and 0 test"):
            evalb(golds, tests)


def test_other_things_than_parses_and_parameters_are_refused():
    tree = Tree.from_text("(TOP (S (NN a)))")
    with pytest.raises(InputError, match=r"gold=None must be a list"):
        evalb(None, [tree])
    for parameters in {"max_errors": 1}, "COLLINS.prm", None:
        with pytest.raises(InputError, match=r"parameters=.* must be EvalbParameters"):
            evalb([tree], [tree], parameters)
