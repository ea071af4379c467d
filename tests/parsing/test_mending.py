"""Any sequence of tokens gives a tree over exactly the words."""

import random

import pytest
from made_up_trees import random_tree

from transformer_jax.errors import InputError
from transformer_jax.parsing.linearisation import delinearise, linearise
from transformer_jax.parsing.mending import mend, mended_tree

# Among them what no label or tag can be.
TOKENS = [
    "(S", ")S", "(NP", ")NP", "(", ")", "NN", "DT", "XX", "", " ", "<unk>", "N(",
    "(N P", ")N)", "((", "))", "(TOP", ")TOP",
]  # fmt: skip


def is_well_formed(tokens, words):
    try:
        delinearise(tokens, words)
    except InputError:
        return False
    return True


def check(tokens, num_words):
    """The properties that must hold, whatever the tokens are."""
    words = [f"w{number}" for number in range(num_words)]
    mended = mended_tree(tokens, words)
    assert list(mended.tree.words) == words
    assert mended.was_mended != is_well_formed(tokens, words)
    if not mended.was_mended:
        assert mended.tree == delinearise(tokens, words)
    again = mended_tree(mend(tokens, num_words), words)
    assert again.tree == mended.tree
    assert not again.was_mended


def test_any_tokens_give_a_tree():
    rng = random.Random(3)
    for _ in range(3_000):
        check(rng.choices(TOKENS, k=rng.randint(0, 12)), rng.randint(1, 5))


def test_tokens_of_trees_with_one_change_give_a_tree():
    rng = random.Random(4)
    for _ in range(300):
        tree = random_tree(rng, rng.randint(1, 9))
        tokens = linearise(tree)
        assert mend(tokens, len(tree.words)) == tokens
        place = rng.randrange(len(tokens))
        tokens[place : place + rng.randint(0, 2)] = rng.choices(TOKENS, k=1)
        check(tokens, len(tree.words))


@pytest.mark.parametrize(
    ("tokens", "num_words", "expected"),
    [
        # Not closed.
        ("(S (NP NN", 1, "(S (NP NN )NP )S"),
        # Closed with those inside; by another label; without anything open.
        ("(S (VP (NP NN )S", 1, "(S (VP (NP NN )NP )VP )S"),
        ("(S (NP NN )VP NN )S", 2, "(S (NP NN )NP NN )S"),
        ("(S NN )S )S )NP", 1, "(S NN )S"),
        (")S NN", 1, "(S NN )S"),
        # Too many leaves, and what they leave empty.
        ("(S NN (NP NN )NP )S", 1, "(S NN )S"),
        # Too few: in the outermost that is open, or the last.
        ("(S (NP DT", 3, "(S (NP DT )NP XX XX )S"),
        ("(NP DT )NP (S NN )S", 3, "(NP DT )NP (S NN XX )S"),
        ("(NP DT )NP (FRAG (NP", 2, "(NP DT )NP (FRAG XX )FRAG"),
        ("(S (NP )NP )S", 2, "(S XX XX )S"),
        ("(NP DT )NP NN", 3, "(NP DT )NP NN XX"),
        # No bracket.
        ("", 2, "(S XX XX )S"),
        ("DT NN", 3, "(S DT NN XX )S"),
        ("DT NN", 2, "DT NN"),
        # What cannot be a label or tag.
        ("(S (N( N) ))S NN )S", 2, "(S XX NN )S"),
        # Well formed as it is.
        ("(NP (NP NN )NP )NP (S NN )S", 2, "(NP (NP NN )NP )NP (S NN )S"),
    ],
)
def test_by_which_rules(tokens, num_words, expected):
    assert " ".join(mend(tokens.split(), num_words)) == expected
    check(tokens.split(), num_words)


def test_tags_may_be_given():
    mended = mended_tree(["(S", "XX"], ["a", "b"], tags=["DT", "NN"], top_label="ROOT")
    assert str(mended.tree) == "(ROOT (S (DT a) (NN b)))"
    assert mended.was_mended


def test_deep_and_long_sequences():
    check(["(NP"] * 5_000 + ["NN"], 1)
    check(["NN"] * 5_000, 3)
    check(["(NP"] * 3_000 + ["NN"] + [")VP", ")NP"] * 2_000, 2_000)


def test_without_words_there_is_no_tree():
    with pytest.raises(InputError, match="num_words=0 must be at least 1"):
        mend(["(S", ")S"], 0)
