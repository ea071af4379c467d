"""What is taken away from trees, and what stays."""

import dataclasses
import random

import pytest
from made_up_trees import chain, random_trees

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning, clean_tree
from transformer_jax.parsing.trees import Tree

NOTHING = TreeCleaning(remove_traces=False, remove_functions=False, top_label=None)


def cleaned(text, **settings):
    cleaning = dataclasses.replace(NOTHING, **settings)
    return str(clean_tree(Tree.from_text(text), cleaning))


def test_as_evalbs_users_do():
    text = (
        "( (S (NP-SBJ-1 (NNP Kim)) (VP (VBD said) (SBAR (-NONE- 0) "
        "(S=2 (-NONE- *T*-1)))) (PRN (-LRB- -LRB-) (ADVP|PRT (RB so)) (-RRB- -RRB-))))"
    )
    assert str(clean_tree(Tree.from_text(text), TreeCleaning())) == (
        "(TOP (S (NP (NNP Kim)) (VP (VBD said)) "
        "(PRN (-LRB- -LRB-) (ADVP (RB so)) (-RRB- -RRB-))))"
    )


def test_each_setting_takes_its_own():
    text = "( (NP=2 (NP-SBJ (NN a)) (NP (-NONE- *-1))))"
    assert cleaned(text) == text
    assert cleaned(text, remove_traces=True) == "( (NP=2 (NP-SBJ (NN a))))"
    assert cleaned(text, remove_functions=True) == (
        "( (NP (NP (NN a)) (NP (-NONE- *-1))))"
    )
    assert cleaned(text, top_label="ROOT") == text.replace("( (", "(ROOT (", 1)


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("NP", "NP"), ("NP-SBJ-1", "NP"), ("S=2", "S"), ("NP-1=2", "NP"),
        ("ADVP|PRT", "ADVP"), ("PRP$", "PRP$"), ("-LRB-", "-LRB-"), ("-RRB-", "-RRB-"),
        ("-NONE-", "-NONE-"), (":", ":"), ("''", "''"), ("-", "-"), ("", ""),
    ],
)  # fmt: skip
def test_labels_end_where_functions_begin(label, category):
    assert cleaned(f"({label} (X x))", remove_functions=True) == f"({category} (X x))"


def test_unary_chains_stay_and_may_be_merged():
    text = "(S (NP (NP (NP (NN a)))) (NP (VP (NP (NP (NN b)) (NP (NN c))))))"
    assert cleaned(text) == text
    assert cleaned(text, merge_repeated=True) == (
        "(S (NP (NN a)) (NP (VP (NP (NP (NN b)) (NP (NN c))))))"
    )
    # Also those that have become one by what was taken away.
    changed = "(NP-1 (NP (NN a)) (S (-NONE- *)))"
    settings = {"remove_traces": True, "remove_functions": True}
    assert cleaned(changed, **settings) == "(NP (NP (NN a)))"
    assert cleaned(changed, **settings, merge_repeated=True) == "(NP (NN a))"


@pytest.mark.parametrize("top", ["", "TOP", "ROOT", "S1"])
def test_every_top_becomes_the_same(top):
    assert cleaned(f"({top} (S (X x)) (NP (Y y)))", top_label="TOP") == (
        "(TOP (S (X x)) (NP (Y y)))"
    )


def test_what_has_no_top_gets_one():
    assert cleaned("(S (S1 (X x)))", top_label="TOP") == "(TOP (S (S1 (X x))))"
    assert cleaned("(X x)", top_label="TOP") == "(TOP (X x))"
    assert cleaned("(TOP x)", top_label="TOP") == "(TOP (TOP x))"


def test_nothing_may_be_left():
    tree = Tree.from_text("( (S (NP (-NONE- *)) (VP (-NONE- *))))")
    assert clean_tree(tree, TreeCleaning()) is None


def test_clean_trees_stay_as_they_are_and_are_not_copied():
    for tree in random_trees(random.Random(1), 50):
        assert clean_tree(tree, TreeCleaning()) is tree


def test_deep_trees_are_cleaned():
    deep = chain(5_000)
    assert clean_tree(deep, NOTHING) is deep
    merging = dataclasses.replace(NOTHING, merge_repeated=True)
    assert str(clean_tree(deep, merging)) == "(NP (NN deep))"


@pytest.mark.parametrize(
    "wrong",
    [
        {"remove_traces": "no"},
        {"remove_functions": 1},
        {"merge_repeated": None},
        {"top_label": "a b"},
        {"top_label": "("},
        {"top_label": 5},
    ],
)
def test_values_are_checked(wrong):
    ((name, _),) = wrong.items()
    with pytest.raises(InputError, match=f"{name}=.* must be "):
        TreeCleaning(**wrong)


def test_a_top_in_a_top_is_one():
    for text in "(ROOT (S1 ( (S (NN a)))))", "(TOP (TOP (S (NN a))))", "( (S (NN a)))":
        tree = clean_tree(Tree.from_text(text), TreeCleaning())
        assert str(tree) == "(TOP (S (NN a)))"
    # A leaf that happens to have such a tag, and a top beside others, stay.
    for text in "(TOP (TOP a))", "(TOP (S1 (NN a)) (S (NN b)))":
        assert str(clean_tree(Tree.from_text(text), TreeCleaning())) == text
