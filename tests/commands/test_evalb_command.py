"""The command `evalb`: the report of the C program, or one JSON object."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from transformer_jax.cli import main
from transformer_jax.parsing.evalb import evalb
from transformer_jax.parsing.evalb_parameters import EvalbParameters
from transformer_jax.parsing.trees import Tree

GOLDEN = Path(__file__).resolve().parents[1] / "golden/evalb"
FILES = {
    "--gold": str(GOLDEN / "gold.trees"),
    "--test": str(GOLDEN / "test.trees"),
    "--parameters": str(GOLDEN / "evalb.prm"),
}
REPORT = (GOLDEN / "report.txt").read_text()
MESSAGES = (GOLDEN / "messages.txt").read_text()


def run(*arguments, **changes):
    files = FILES | {f"--{name}": value for name, value in changes.items()}
    words = [word for pair in files.items() if pair[1] for word in pair]
    return main(["evalb", *words, *arguments])


def test_it_prints_what_the_c_program_prints(capsys):
    assert run() == 0
    captured = capsys.readouterr()
    assert captured.out == REPORT
    assert captured.err == MESSAGES


def test_json_has_scores_errors_and_settings(capsys):
    assert run("--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"all", "short", "errors", "parameters"}
    assert round(found["all"]["f1"], 2) == 66.67
    assert found["short"]["f1"] == 0.0
    assert found["errors"] == [
        {"line": 5, "problem": "Words unmatch (b|c)"},
        {"line": 7, "problem": "Length unmatch (2|1)"},
    ]
    assert found["parameters"]["quote_labels"] == ["''", "POS"]


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_output_may_be_a_file(tmp_path, capsys, format):
    assert run("--format", format, "--output", str(tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    written = (tmp_path / "out").read_text()
    assert written == (REPORT if format == "text" else printed)
    assert round(json.loads(printed)["all"]["recall"], 2) == 66.67


def test_without_parameters_they_are_those_of_collins(tmp_path, capsys):
    text = "(TOP (S (NP (NN a)) (, ,) (VP (VB b))))"
    (tmp_path / "trees").write_text(f"{text}\n")
    trees = str(tmp_path / "trees")
    assert run("--format", "json", gold=trees, test=trees, parameters=None) == 0
    found = json.loads(capsys.readouterr().out)
    expected = evalb([Tree.from_text(text)], [Tree.from_text(text)])
    assert found["all"] == dataclasses.asdict(expected.all)
    settings = json.loads(json.dumps(dataclasses.asdict(EvalbParameters())))
    assert found["parameters"] == settings


def test_one_side_may_come_from_standard_input(capsys, monkeypatch):
    with open(FILES["--test"]) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert run(test="-") == 0
    assert capsys.readouterr().out == REPORT


def test_bad_input_is_told_in_one_line_and_nothing_is_written(tmp_path, capsys):
    output = tmp_path / "out"

    def complaint(**changes):
        assert run("--output", str(output), **changes) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert not output.exists()
        (line,) = captured.err.splitlines()
        return line

    def write(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    gold = Path(FILES["--gold"]).read_text()
    damaged = write("damaged", gold.replace("(POS ')", "((POS ')"))
    assert f"{damaged}, line 4: the tree that begins here" in complaint(test=damaged)
    assert f"{damaged}, line 4: the tree that begins here" in complaint(gold=damaged)
    short = write("short", "(TOP (NN a))\n")
    assert f"has 9 lines and {short} has 1: line n" in complaint(test=short)
    empty = write("empty", "")
    assert f"{empty} is empty" in complaint(gold=empty, test=empty)
    assert "no: no such file" in complaint(test=str(tmp_path / "no"))
    assert "can be read once" in complaint(gold="-", test="-")
    wrong = write("wrong.prm", "LABELD 1\n")
    told = complaint(parameters=wrong)
    assert f"{wrong}, line 1: LABELD is not a keyword of EVALB" in told
    strict = write("strict.prm", "MAX_ERROR 0\n")
    told = complaint(parameters=strict)
    assert "unmatch" in told
    assert "allow more than --max-errors 0" in told


def test_more_errors_may_be_allowed(tmp_path, capsys):
    gold, test = tmp_path / "gold", tmp_path / "test"
    gold.write_text("(TOP (S (NN a) (NN b)))\n" * 13)
    test.write_text("(TOP (S (NN a)))\n" * 12 + "(TOP (S (NN a) (NN b)))\n")
    command = ["evalb", "--gold", str(gold), "--test", str(test)]
    assert main(command) == 2
    assert "allow more than --max-errors 10." in capsys.readouterr().err
    assert main([*command, "--max-errors", "12", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["max_errors"] == 12
    assert len(found["errors"]) == 12
    assert found["all"]["f1"] == 100.0
    assert main([*command, "--max-errors", "-1"]) == 2
    assert "--max-errors -1 must be" in capsys.readouterr().err


def test_trees_over_several_lines_are_not_taken_for_one_a_line(tmp_path, capsys):
    gold, test = tmp_path / "gold", tmp_path / "test"
    gold.write_text("(TOP\n  (S (NN a)))\n")
    for trees in ("(TOP (S (NN a)))\n", "(TOP (S (NN a)))\n" * 2):
        test.write_text(trees)
        assert main(["evalb", "--gold", str(gold), "--test", str(test)]) == 2
        assert capsys.readouterr().err.endswith(
            "`transformer-jax trees FILES` writes them.\n"
        )
