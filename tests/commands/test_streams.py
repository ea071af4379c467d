"""Standard streams by the name `-`, links and .gz, in every command with text."""

import gzip
import io
import itertools
import json
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.cli import main

PAIRS = reversed_pairs(5, seed=3)
SOURCES, TARGETS = map(list, zip(*PAIRS, strict=True))


def text(lines) -> str:
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "source").write_text(text(SOURCES))
    (tmp_path / "target").write_text(text(TARGETS))
    for name, lines in (("source", SOURCES), ("target", TARGETS)):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text(lines).encode()))
        (tmp_path / f"{name}-link").symlink_to(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments, given: str = "") -> int:
    stream = io.TextIOWrapper(io.BytesIO(given.encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    return main([str(argument) for argument in arguments])


# What each command reads by each name, and what it must then print.
# `evaluate` takes a second for each.
INPUTS = ["-", "{name}.gz", "{name}-link", "pipe"]
COMMANDS = ["translate", "score", "bleu"]


@pytest.mark.parametrize(
    ("command", "name"),
    [*itertools.product(COMMANDS, INPUTS), ("evaluate", "-"), ("evaluate", "pipe")],
)
def test_inputs(command, name, folder, capsys, monkeypatch):
    workdir = trained_run().workdir
    source, target = name.format(name="source"), "target"
    arguments = {
        "translate": [workdir, "--input", source],
        "score": [workdir, "--source", source, "--target", target],
        "evaluate": [workdir, "--source", source, "--target", target],
        "bleu": ["--hypothesis", source, "--reference", target],
    }[command]
    given = text(SOURCES) if name == "-" else ""
    if name == "pipe":
        os.mkfifo("pipe")
        write = Path("pipe").write_text
        threading.Thread(target=write, args=[text(SOURCES)]).start()
    assert run(monkeypatch, command, *arguments, given=given) == 0
    found = capsys.readouterr().out
    plain = [{source: "source"}.get(each, each) for each in arguments]
    assert run(monkeypatch, command, *plain) == 0
    expected = capsys.readouterr().out
    assert found == expected


@pytest.mark.parametrize("name", ["out", "-", "out.gz", "link", "/dev/stdout"])
@pytest.mark.parametrize("command", ["translate", "score", "evaluate"])
def test_outputs(command, name, folder, capfd, monkeypatch):
    """The lines come to where they were sent, and nowhere else."""
    workdir = trained_run().workdir
    (folder / "link").symlink_to("behind")
    arguments = {
        "translate": [workdir, "--input", "source"],
        "score": [workdir, "--source", "source", "--target", "target"],
        "evaluate": [workdir, "--source", "source", "--target", "target"],
    }[command]
    before = set(os.listdir(folder))
    assert run(monkeypatch, command, *arguments, "--output", name) == 0
    printed = capfd.readouterr().out
    if command == "evaluate":  # The scores come first.
        scores, _, printed = printed.partition("\n}\n")
        assert "bleu" in json.loads(scores + "}")
        lines = trained_run().result.translator.translate(SOURCES)
    elif command == "translate":
        lines = trained_run().result.translator.translate(SOURCES)
    else:
        assert run(monkeypatch, command, *arguments) == 0
        lines = capfd.readouterr().out.splitlines()
    new = set(os.listdir(folder)) - before
    if name in ("-", "/dev/stdout"):
        assert (printed[: len(text(lines))], new) == (text(lines), set())
        return
    written = {"link": "behind"}.get(name, name)
    assert new == {written}
    contents = (folder / written).read_bytes()
    found = gzip.decompress(contents) if name == "out.gz" else contents
    assert found.decode() == text(lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["bleu", "--hypothesis", "-", "--reference", "-"],
        ["score", ".", "--source", "-", "--target", "-"],
        ["evaluate", ".", "--source", "-", "--target", "-"],
    ],
)
def test_standard_input_is_read_once(arguments, capsys):
    assert main(arguments) == 2
    assert "standard input (-) can be read once" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["translate", "score", "evaluate"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    command, folder, capsys, monkeypatch
):
    loading = "transformer_jax.translation.translator.Translator.from_checkpoint"
    monkeypatch.setattr(loading, None)
    arguments = {
        "translate": ["--input", "source"],
        "score": ["--source", "source", "--target", "target"],
        "evaluate": ["--source", "source", "--target", "target"],
    }[command]
    workdir = str(trained_run().workdir)
    for name, why in (
        ("missing/out", "missing/out: cannot be written (missing is not there)."),
        (
            "gs://bucket/out",
            "gs://bucket/out: text is written to files: name one on a ",
        ),
    ):
        assert main([command, workdir, *arguments, "--output", name]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"transformer-jax: {why}")


def test_results_do_not_depend_on_the_terminals_encoding(tmp_path, monkeypatch):
    """The path of the average is the result, in letters that ASCII has not."""
    workdir = shutil.copytree(trained_run().workdir, tmp_path / "läufe")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["average", str(workdir), "--last", "2"]) == 0
    assert "läufe/average" in written.getvalue().decode()
