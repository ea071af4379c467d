"""Table 1 on a tiny grid: files, exponents, refusals."""

import json
import re

import pytest

from transformer_jax.errors import InputError
from transformer_jax.reproduction.table_1.measure import measure_table_1
from transformer_jax.reproduction.table_1.paper import ROWS

pytestmark = pytest.mark.slow

TINY = {"lengths": (32, 96), "widths": (16, 64), "restricted": 3, "repeats": 1}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("table") / "new"


@pytest.fixture(scope="module")
def result(directory):
    return measure_table_1(directory, **TINY, progress=False)


def test_the_files_are_there_and_hold_the_result(result, directory):
    assert json.loads((directory / "table_1.json").read_text()) == result
    assert (directory / "table_1.png").read_bytes().startswith(b"\x89PNG")
    assert (directory / "table_1.svg").read_bytes().startswith(b"<?xml")
    assert len(list(directory.iterdir())) == 4


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
@pytest.mark.parametrize("name", ROWS)
def test_operations_grow_as_table_1_says(result, name, direction):
    """At tiny widths, what is not a product weighs a little."""
    found = result["rows"][name]["exponents"][direction]
    assert found["length"] == pytest.approx(ROWS[name].length_exponent, abs=0.15)
    assert found["width"] == pytest.approx(ROWS[name].width_exponent, abs=0.3)


def test_self_attention_costs_more_than_recurrence_from_n_equal_to_d_on(result):
    by_width = {
        each["width"]: each["flops"]
        for each in result["crossing"]
        if each["direction"] == "forward"
    }
    assert by_width[64] == pytest.approx(64, rel=0.15)
    assert by_width[16] is None  # Dearer at all lengths of the grid.


def test_sequential_steps_and_paths_are_in_the_rows(result):
    rows = result["rows"]
    assert rows["recurrent"]["sequential_steps"] == {"32": 32, "96": 96}
    assert rows["self_attention"]["sequential_steps"] == {"32": 2, "96": 2}
    assert rows["self_attention"]["longest_path"] == {"32": 1, "96": 1}
    assert rows["recurrent"]["longest_path"] == {"32": 32, "96": 96}
    assert rows["restricted"]["longest_path"] == {"32": 11, "96": 32}
    assert rows["convolutional"]["longest_path"] == {"32": 16, "96": 48}
    assert result["dilated_path"] == {"32": 4, "96": 5}


def test_each_layer_is_measured_in_each_direction_at_each_size(result):
    measured = result["measurements"]
    keys = {(m["layer"], m["direction"], m["length"], m["width"]) for m in measured}
    assert len(keys) == len(measured) == 6 * 2 * 2 * 2
    assert all(m["seconds"] > 0 and m["gflops_per_second"] > 0 for m in measured)


def test_the_page_has_whole_tables_of_everything(result, directory):
    page = (directory / "table_1.md").read_text()
    for row in ROWS.values():
        assert f"| {row.title} | {row.complexity} |" in page
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "(table_1.png)" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": (64,)}, r"lengths=64 must be two different numbers"),
        ({"lengths": (64, 1)}, r"lengths=64,1 .* at least 2"),
        ({"widths": (8, 8)}, r"widths=8,8 must be two different"),
        ({"restricted": 0}, "restricted=0 must be at least 1"),
        ({"kernel": 1}, "kernel=1 must be at least 2"),
        ({"repeats": 0}, "repeats=0 must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_work(
    tmp_path, arguments, message
):
    with pytest.raises(InputError, match=message):
        measure_table_1(tmp_path / "new", **(TINY | arguments))
    assert not (tmp_path / "new").exists()
