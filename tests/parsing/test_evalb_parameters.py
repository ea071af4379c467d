"""Parameter files of EVALB."""

import pytest

from transformer_jax.errors import InputError
from transformer_jax.parsing.evalb_parameters import (
    EvalbParameters,
    load_evalb_parameters,
)


@pytest.fixture
def load(tmp_path):
    def load_text(text):
        (tmp_path / "some.prm").write_text(text)
        return load_evalb_parameters(tmp_path / "some.prm")

    return load_text


def test_what_a_file_does_not_name_is_off(load):
    assert load("") == EvalbParameters(
        delete_labels=(), delete_labels_for_length=(), equal_labels=()
    )


def test_each_keyword_sets_its_own(load):
    text = """\
##---- comment ----##
DEBUG 1
LABELED 0
CUTOFF_LEN\t70
MAX_ERROR 5
DELETE_LABEL TOP
DELETE_LABEL   ``
DELETE_LABEL_FOR_LENGTH -NONE-
QUOTE_LABEL POS
EQ_LABEL ADVP PRT
EQ_LABEL NX NP

EQ_WORD  This this
# EQ_WORD That that
"""
    assert load(text) == EvalbParameters(
        labeled=False,
        cutoff_length=70,
        max_errors=5,
        delete_labels=("TOP", "``"),
        delete_labels_for_length=("-NONE-",),
        quote_labels=("POS",),
        equal_labels=(("ADVP", "PRT"), ("NX", "NP")),
        equal_words=(("This", "this"),),
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("DISC_ONLY 1", "DISC_ONLY is not a keyword of EVALB; expected one of LABELED"),
        ("delete_label TOP", "delete_label is not a keyword"),
        ("CUTOFF_LEN \u0663", "expected a number that is not negative"),
        ("MAX_ERROR \u00b2", "expected a number that is not negative"),
        ("LABELED 2", "'LABELED 2': expected 0 or 1 after LABELED"),
        ("CUTOFF_LEN -1", "expected a number that is not negative after CUTOFF_LEN"),
        ("MAX_ERROR", "expected a number that is not negative after MAX_ERROR"),
        ("DELETE_LABEL", "expected one label after DELETE_LABEL"),
        ("DELETE_LABEL , # comma", "expected one label after DELETE_LABEL"),
        ("EQ_LABEL ADVP", "expected two that are equal after EQ_LABEL"),
        ("EQ_WORD a b c", "expected two that are equal after EQ_WORD"),
    ],
)
def test_a_bad_line_is_named(load, line, what):
    with pytest.raises(InputError) as caught:
        load(f"LABELED 1\n{line}\n")
    assert "some.prm, line 2: " in str(caught.value)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delete_labels": "TOP"},
        {"quote_labels": (3,)},
        {"equal_labels": ("ADVP", "PRT")},
        {"equal_words": [("A",)]},
        {"cutoff_length": -1},
        {"cutoff_length": "x"},
        {"max_errors": True},
        {"labeled": 1},
    ],
)
def test_values_are_checked(wrong):
    ((name, _),) = wrong.items()
    with pytest.raises(InputError, match=f"{name}=.* must be "):
        EvalbParameters(**wrong)


def test_labels_come_in_a_sequence():
    assert EvalbParameters(delete_labels=["TOP"]).delete_labels == ("TOP",)


def test_a_file_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"no\.prm: no such file"):
        load_evalb_parameters(tmp_path / "no.prm")
