"""The targets are the numbers of the paper."""

import re

import pytest
from paper_tables import paper_table_3, read_paper

from transformer_jax.errors import InputError
from transformer_jax.reproduction.scaling import target_settings
from transformer_jax.reproduction.targets import TARGETS, find_target


def test_rows_of_table_3_are_those_of_the_paper():
    paper = paper_table_3()
    for row, cells in paper.items():
        target = TARGETS[f"table3-{row}"]
        if row == "E":
            continue
        assert target.paper_perplexity == float(cells["PPL"]), row
        assert target.paper_score == float(cells["BLEU"]), row
    stated = {row: cells["params (M)"] for row, cells in paper.items()}
    for row in ("B1", "B2", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "base", "big"):
        assert TARGETS[f"table3-{row}"].paper_parameters == float(stated[row]), row


def test_table_2_is_that_of_the_paper():
    text = read_paper()
    for size in ("base", "big"):
        german, french, flops = re.search(
            rf"\| {size} \| ([\d.]+) \| ([\d.]+)[^|]*\| ([\de.]+) \|", text
        ).groups()
        for pair, bleu in (("en-de", german), ("en-fr", french)):
            target = TARGETS[f"table2-{size}-{pair}"]
            assert target.paper_score == float(bleu)
            assert target.paper_flops == float(flops)
            assert target.num_averaged == {"base": 5, "big": 20}[size]


def test_table_4_is_that_of_the_paper():
    found = re.search(r"F1: ([\d.]+) \(WSJ only\), ([\d.]+) \(semi", read_paper())
    names = "table4-wsj", "table4-semi"
    scores = [TARGETS[name].paper_score for name in names]
    assert scores == [float(number) for number in found.groups()]


@pytest.mark.parametrize("name", TARGETS)
def test_settings_are_those_of_its_configuration(name):
    target = TARGETS[name]
    config = target_settings(target)
    assert config.training.keep_last >= target.num_averaged
    assert config.training.checkpoint_every_steps in (600, 1500)
    # Enough checkpoints for the average.
    steps = config.training.num_steps // config.training.checkpoint_every_steps
    assert steps >= target.num_averaged
    if not target.is_parsing:
        assert config.data.dataset.startswith("wmt14_translate/")
        french = name.endswith("fr")
        assert config.data.target_language == ("fr" if french else "de")
        assert config.model.vocab_size == (32_000 if french else 37_000)


@pytest.mark.parametrize(
    ("name", "words"),
    [("table3-A9", "did you mean table3-A"), ("xyz", "--list"), ("tabel1", "table1")],
)
def test_an_unknown_target_is_refused(name, words):
    with pytest.raises(InputError, match=words):
        find_target(name)
