"""Places in the tokens of trees, by hand and by counting brackets."""

import numpy as np
import pytest
from attention_pictures.attended import cross_pair, decoder_pair
from tiny_treebank import random_trees

from transformer_jax.attention_pictures import tree_places
from transformer_jax.attention_pictures.attended_pair import PieceRow
from transformer_jax.parsing.linearisation import linearise

#          0   1    2    3   4   5    6    7   8    9  10
TOKENS = "▁(S ▁(NP ▁DT ▁NN ▁)NP ▁(VP ▁VB ▁)VP ▁. ▁)S"  # After <s>, at 0.
WORDS = "▁the ▁do g ▁sleeps ▁."


def chosen(mask):
    """Returns the key of each query, None where there is none."""
    assert mask.sum(1).max() <= 1
    return [int(row.argmax()) if row.any() else None for row in mask]


@pytest.mark.parametrize(
    ("places", "keys"),
    [
        ("matching_bracket", [None] * 5 + [2, None, None, 6, None, 1]),
        ("parent_bracket", [None, None, 1, 2, 2, 1, 1, 6, 1, 1, None]),
        ("innermost_bracket", [None, 1, 2, 2, 2, 1, 6, 6, 1, 1, None]),
        ("part_before", [None] * 4 + [3, None, 2, None, 2, 6, None]),
        ("leaf_before", [None] * 4 + [3, 4, 4, 4, 7, 7, 9]),
    ],
)
def test_tokens(places, keys):
    pair = decoder_pair(TOKENS)
    assert pair.shape == (11, 11)
    assert chosen(getattr(tree_places, places)(pair)) == keys


WORD_OF = {0: [0], 1: [1, 2], 2: [3], 3: [4]}  # Its pieces.


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (tree_places.word_of_leaf(0), [None, None, None, 0, 1, 1, 1, 2, 2, 3, 3]),
        (tree_places.word_of_leaf(1), [0, 0, 0, 1, 2, 2, 2, 3, 3, None, None]),
        (
            tree_places.first_word_of_constituent,
            [None, None, None, 0, 0, 0, None, 2, 0, 0, None],
        ),
    ],
)
def test_words(places, words):
    mask = places(cross_pair(WORDS, TOKENS))
    found = [np.flatnonzero(row).tolist() for row in mask]
    assert found == [WORD_OF.get(word, []) for word in words]


def test_matching_brackets_by_counting():
    for tree in random_trees(50):
        tokens = [f"▁{token}" for token in linearise(tree)]
        row = PieceRow.of_sentence([*tokens, "</s>"]).read_after("<s>")
        opening = tree_places.read_brackets(row).own_opening
        for position, token in enumerate(row.pieces):
            if not token.startswith("▁)"):
                assert opening[position] == -1
                continue
            depth, place = 1, position
            while depth:
                place -= 1
                depth += row.pieces[place].startswith("▁)")
                depth -= row.pieces[place].startswith("▁(")
            assert opening[position] == place


def test_broken_trees_are_read_as_far_as_they_go():
    pair = decoder_pair("▁)S ▁(NP ▁NN ▁)VP ▁)NP x ▁NN")
    assert chosen(tree_places.matching_bracket(pair)) == [None] * 4 + [2] + [None] * 3
    assert tree_places.read_brackets(pair.queries).num_leaves.tolist() == [
        0, 0, 0, 1, 1, 1, 1, 2,
    ]  # fmt: skip
