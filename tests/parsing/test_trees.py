"""Trees: the brackets they are written in, and what a damaged tree is told."""

import copy
import pickle
import random

import pytest
from made_up_trees import chain, random_trees

from transformer_jax.errors import InputError
from transformer_jax.parsing.trees import Tree, read_brackets

TEXT = "( (S (NP-SBJ-1 (-NONE- *)) (VP (VBZ is) (ADVP|PRT (RB up))) (-RRB- -RRB-)))"


def test_what_is_written_is_read_again():
    trees = random_trees(random.Random(0), 300)
    assert read_brackets("\n".join(map(str, trees)), "a text") == trees
    assert len(set(trees)) > 200


def test_labels_words_and_parts():
    top = Tree.from_text(TEXT)
    (sentence,) = top.children
    assert (top.label, sentence.label, str(top)) == ("", "S", TEXT)
    assert top.words == ("*", "is", "up", "-RRB-")
    assert top.tags == ("-NONE-", "VBZ", "RB", "-RRB-")
    assert [node.label for node in sentence.children] == ["NP-SBJ-1", "VP", "-RRB-"]
    assert sentence.children[2].is_leaf
    assert not sentence.is_leaf


def test_white_space_is_that_of_c():
    spread = TEXT.replace(" ", " \n\t\r\f\v").replace("(", "\n(").replace(")", " )")
    assert Tree.from_text(spread) == Tree.from_text(TEXT)
    # Everything else belongs to words, which real treebanks have.
    odd = "(NP (NN Xpd\u2009TTD) (NN \xa0A) (NN a\u2028b\x85\x1c))"
    assert Tree.from_text(odd).words == ("Xpd\u2009TTD", "\xa0A", "a\u2028b\x85\x1c")
    assert str(Tree.from_text(odd)) == odd


def test_trees_are_equal_by_what_is_written():
    one, other = Tree.from_text(TEXT), Tree.from_text(TEXT)
    assert one == other
    assert hash(one) == hash(other)
    assert one != Tree.from_text(TEXT.replace("ADVP|PRT", "PRT"))
    assert one != TEXT
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert repr(one) == f"Tree.from_text({TEXT!r})"


def test_a_tree_may_be_deep():
    deep = chain(5_000)
    text = "(NP " * 5_000 + "(NN deep)" + ")" * 5_000
    assert str(deep) == text
    assert Tree.from_text(text) == deep
    assert pickle.loads(pickle.dumps(deep)) == deep
    assert len(list(deep.nodes())) == 5_001
    assert deep.words == ("deep",)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("(S (NN a))\n(S (NN b)\n(S (NN c))\n", 2, "lacks 1 ) at its end"),
        ("(S\n(NP (NN a)", 1, "lacks 2 ) at its end"),
        ("(S (NN a))\n(S (NN b)))\n", 2, "a ) has no ( before it"),
        ("(S\n the (NN cat))", 2, "the word 'the' has no tag"),
        ("(S\n (NP the cat))", 2, "the word 'the' has no tag"),
        ("\n( the)", 2, "the word 'the' has no tag"),
        ("(S (NN a))\n(S\n (NN ))", 3, "(NN) holds no word"),
        ("(S (NN a))\n()", 2, "() holds no word"),
        ("(S (NN a))\nTree:\n(S (NN b))", 2, "'Tree:' stands outside a tree"),
    ],
)
def test_a_damaged_tree_is_told_by_its_line(text, line, what):
    with pytest.raises(InputError) as caught:
        read_brackets(text, "some.mrg")
    assert str(caught.value).startswith(f"some.mrg, line {line}: ")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"some.mrg, line {line + 6}: "):
        read_brackets(text, "some.mrg", first_line=7)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"label": "NP"}, "0 children"),
        ({"label": "NP", "children": ["cat"]}, "not all trees"),
        ({"label": "NN", "word": ""}, "a word that is not empty"),
        ({"label": "", "word": "cat"}, "a leaf has a tag"),
        ({"label": "NN", "word": "big cat"}, "'big cat' holds white space"),
        ({"label": "NN", "word": "(cat"}, r"'\(cat' holds white space or a bracket"),
        ({"label": "N\n", "word": "cat"}, "holds white space"),
    ],
)
def test_what_cannot_be_written_is_no_tree(arguments, what):
    with pytest.raises(InputError, match=what):
        Tree(**arguments)


def test_a_text_holds_one_tree():
    for text, count in (("", 0), ("(NN a) (NN b)", 2)):
        with pytest.raises(InputError, match=f"holds {count} trees"):
            Tree.from_text(text)


def test_parts_may_come_in_any_sequence():
    leaf = Tree("NN", word="cat")
    assert Tree("NP", [leaf]).children == (leaf,)
    assert Tree("NP", iter([leaf])) == Tree("NP", (leaf,))


@pytest.mark.parametrize("text", [None, 5, b"(S (NN a))", ["(S (NN a))"]])
def test_a_text_is_a_string(text):
    with pytest.raises(InputError, match=r"text=.* must be a string"):
        Tree.from_text(text)


@pytest.mark.parametrize(
    "arguments", [("S", None), ("S", ("a",)), (3, (), "a"), ("NN", (), 3), ("S", 5)]
)
def test_parts_of_other_types_are_refused(arguments):
    with pytest.raises(InputError, match="Tree"):
        Tree(*arguments)
