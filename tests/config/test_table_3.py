"""Each configuration of Table 3 is its row of the paper, and states nothing else."""

import re
import tomllib
from pathlib import Path

import pytest
from paper_tables import paper_table_3

from transformer_jax.config.reading import differences, load_config
from transformer_jax.model.size import parameter_counts

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "table3"
ROWS = sorted(path.stem for path in FOLDER.glob("*.toml"))
each_row = pytest.mark.parametrize("row", ROWS)


@pytest.fixture(scope="module")
def paper():
    return paper_table_3()


def test_every_row_has_a_configuration(paper):
    assert len(ROWS) == 20
    assert sorted(paper) == ROWS


@each_row
def test_a_configuration_is_its_row(row, paper):
    config = load_config(f"table3/{row}")
    model, training = config.model, config.training
    cells = paper["base" if row == "E" else row]
    assert model.positions == ("learned" if row == "E" else "sinusoidal")
    found = {
        "N": model.num_encoder_layers, "d_model": model.d_model, "d_ff": model.d_ff,
        "h": model.num_heads, "d_k": model.key_size, "d_v": model.value_size,
        "P_drop": model.dropout_rate, "eps_ls": training.label_smoothing,
        "steps": training.num_steps / 1_000,
    }  # fmt: skip
    assert model.num_decoder_layers == model.num_encoder_layers
    for name, value in found.items():
        assert value == float(cells[name].rstrip("K")), name


@each_row
def test_the_number_of_parameters_is_that_of_the_formula(row, paper):
    if row == "E":
        pytest.skip("the paper counts no table of positions")
    cells = paper[row]
    model = load_config(f"table3/{row}").model
    if cells["by formula, 37,000 rows (M)"]:
        count = sum(parameter_counts(model).values())
        stated = float(cells["by formula, 37,000 rows (M)"])
        assert count / 1e6 == pytest.approx(stated, abs=0.0051)


@each_row
def test_the_comment_has_the_numbers_of_the_paper(row, paper):
    comment = (FOLDER / f"{row}.toml").read_text().splitlines()[0]
    found = re.search(r"Perplexity ([\d.]+), BLEU ([\d.]+) on newstest2013", comment)
    if row == "E":
        assert found.groups() == ("4.92", "25.7")
    else:
        assert found.groups() == (paper[row]["PPL"], paper[row]["BLEU"])


@each_row
def test_a_configuration_states_only_what_differs(row):
    path = FOLDER / f"{row}.toml"
    stated = tomllib.loads(path.read_text())
    base = load_config("wmt14_en_de_big" if row == "big" else "wmt14_en_de_base")
    changed = {each.partition(":")[0] for each in differences(base, load_config(path))}
    assert stated.pop("extends")
    assert changed == {f"{s}.{name}" for s, fields in stated.items() for name in fields}
