"""Trees as tokens, and back."""

import random

import pytest
from made_up_trees import chain, random_trees
from treebanks import each_treebank

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning, with_top
from transformer_jax.parsing.linearisation import (
    ANY_WORD,
    delinearise,
    linearise,
    symbols_of,
)
from transformer_jax.parsing.mending import mended_tree
from transformer_jax.parsing.treebank import read_trees
from transformer_jax.parsing.trees import Tree

KIM = Tree.from_text("(TOP (S (NP (NNP Kim)) (VP (VBZ sits)) (. .)))")


def test_the_tokens_of_the_paper():
    assert " ".join(linearise(KIM)) == "(S (NP NNP )NP (VP VBZ )VP . )S"
    tokens = linearise(KIM, ANY_WORD)
    assert " ".join(tokens) == "(S (NP XX )NP (VP XX )VP XX )S"


@pytest.mark.parametrize("top", ["", "TOP", "ROOT", "S1"])
def test_the_top_is_not_written(top):
    tree = Tree.from_text(f"({top} (NP (NN a)) (S1 (NN b)))")
    assert linearise(tree) == ["(NP", "NN", ")NP", "(S1", "NN", ")S1"]
    assert delinearise(linearise(tree), tree.words, top_label=top) == tree


def test_a_tree_without_top_gets_one():
    for text in ("(S (NP (NN a)))", "(NN a)", "(TOP a)"):
        tree = Tree.from_text(text)
        assert delinearise(linearise(tree), tree.words) == with_top(tree, "TOP")


def test_made_up_trees_come_back():
    for tree in [*random_trees(random.Random(2), 300), with_top(chain(5_000), "TOP")]:
        assert delinearise(linearise(tree), tree.words) == tree
        without_tags = delinearise(linearise(tree, ANY_WORD), tree.words)
        assert without_tags.words == tree.words
        assert set(without_tags.tags) == {ANY_WORD}
        assert linearise(without_tags) == linearise(tree, ANY_WORD)


@pytest.mark.slow
@each_treebank
@pytest.mark.parametrize("cleaning", [None, TreeCleaning()])
def test_all_trees_of_a_treebank_come_back(files, cleaning):
    top = "" if cleaning is None else "TOP"
    for tree in read_trees(files, cleaning):
        assert delinearise(linearise(tree), tree.words, top_label=top) == tree
        without_tags = delinearise(linearise(tree, ANY_WORD), tree.words, top_label=top)
        assert linearise(without_tags) == linearise(tree, ANY_WORD)
        assert without_tags.words == tree.words


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        ("(S NN NN", r"'\(S' is not closed"),
        ("(S (NP NN )NP NN", r"'\(S' is not closed"),
        ("(S (NP NN )S NN )NP", r"token 4 is '\)S'"),
        ("NN NN )S", r"token 3 is '\)S'"),
        ("(S (NP )NP NN NN )S", r"token 3 is '\)NP'"),
        ("(S NN )S", "1 leaves for 2 words"),
        ("(S NN NN (NP NN )NP )S", "3 leaves for 2 words"),
        ("", "0 leaves for 2 words"),
    ],
)
def test_what_is_not_well_formed_is_told(tokens, what):
    with pytest.raises(InputError, match=what):
        delinearise(tokens.split(), ["a", "b"])


def test_tags_may_be_given():
    tokens = linearise(KIM, ANY_WORD)
    assert delinearise(tokens, KIM.words, tags=KIM.tags) == KIM
    with pytest.raises(InputError, match="3 leaves for 2 tags"):
        delinearise(tokens, KIM.words, tags=["NNP", "VBZ"])


def test_symbols_come_by_frequency():
    trees = [KIM, Tree.from_text("(TOP (NP (NNP Lee)))")]
    assert symbols_of(trees) == [
        "(NP", ")NP", "NNP", "(S", "(VP", ")S", ")VP", ".", "VBZ"
    ]  # fmt: skip
    assert symbols_of(trees, ANY_WORD) == [
        "XX", "(NP", ")NP", "(S", "(VP", ")S", ")VP"
    ]  # fmt: skip


@pytest.mark.parametrize("given", [None, 3, "NN", [3], ["NN", None], iter(["NN"])])
def test_what_is_no_list_of_texts_is_refused(given):
    for make in (delinearise, mended_tree):
        with pytest.raises(InputError, match=r"tokens=.* must be a list of texts"):
            make(given, ["a"])
        with pytest.raises(InputError, match=r"words=.* must be a list of texts"):
            make(["NN"], given)
