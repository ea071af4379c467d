"""The command `reproduce`: what it refuses, its list and its tables."""

import json

import pytest
from tiny_runs import reversed_pairs

from transformer_jax.cli import main
from transformer_jax.reproduction.targets import TARGETS

pytestmark = pytest.mark.slow

SMOOTHING = "--training.label-smoothing", "0.3"


def refused(capsys, *arguments):
    """Returns the one line by which arguments are refused."""
    assert main(["reproduce", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a target"),
        (["table3-A9", "--workdir", "x"], "did you mean table3-A"),
        (["table3-A1"], "table3-A1 needs --workdir"),
        (["table3"], "--summary"),
        (["table3", "--summary", "nothing"], "nothing has no verdict yet"),
        (["table3-A1", "--summary", "x"], "--summary is of table3"),
        (["table3-A1", "--workdir", "x", "--scale", "2"], "--scale 2.0 must be more"),
        (["table3-A1", "--workdir", "x", "--width-scale", "0"], "--width-scale 0.0"),
        (["table3-A1", "--workdir", "x", "--depth-scale", "x"], "--depth-scale"),
        (["claim-nothing", "--workdir", "x"], "not a claim that can be measured"),
        (["table1"], "table1 needs --workdir"),
        (["table1", "--workdir", "x", "--model.d-model", "32"], "out model.d_model"),
        (["table3", "--summary", "y", "--training.seed", "1"], "out training.seed"),
        (["table3", "--summary", "y", "--scale", "0.5"], "table3 trains nothing"),
        (["claim-label-smoothing", "--workdir", "x", "--scale", "0.5"], "no part of"),
        (
            [
                "claim-label-smoothing",
                "--workdir",
                "x",
                "--training.label-smoothing",
                "0.3",
            ],
            "leave out training.label_smoothing=0.3",
        ),
    ],
)
def test_what_is_refused(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert not (tmp_path / "x").exists()


def test_the_list_has_every_target_with_what_it_needs(capsys):
    assert main(["reproduce", "--list"]) == 0
    out, err = capsys.readouterr()
    needs = {each["target"]: each for each in json.loads(out)}
    assert list(needs) == list(TARGETS)
    base, big = needs["table2-base-en-de"], needs["table2-big-en-de"]
    assert (base["updates"], big["updates"]) == (100_000, 300_000)
    for machine in ("v5e-16", "8 H100"):
        assert 0.02 < base["least_hours"][machine] < big["least_hours"][machine] < 12
    # The base model has 63M parameters: a checkpoint is 0.76 GB.
    assert base["disk_gigabytes"] > 5 * 0.75
    assert all(target in err for target in TARGETS)


@pytest.mark.long
def test_a_row_from_the_shell_and_the_table_of_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = reversed_pairs(60)
    for number, side in enumerate(("source", "target")):
        text = "".join(f"{pair[number]}\n" for pair in pairs)
        (tmp_path / f"text.{side}").write_text(text)
    flags = ["--data.dataset", "none"]
    for split in ("train", "validation"):
        for side in ("source", "target"):
            flags += [f"--data.{split}-{side}-path", f"text.{side}"]
    flags += [
        *("--model.vocab-size", "300", "--training.num-steps", "2"),
        *("--data.source-length", "24", "--data.target-length", "24"),
        *("--data.batch-tokens", "192", "--model.compute-dtype", "float32"),
        *("--width-scale", "0.0625", "--depth-scale", "0.17"),
        *("--training.validation-bleu-sentences", "0"),
        *("--training.best-metric", "loss", "--model.scan-unroll", "none"),
    ]
    assert main(["reproduce", "table3-C1", "--workdir", "C1", *flags]) == 0
    out, err = capsys.readouterr()
    verdict = json.loads(out)
    assert verdict["scale"] == {"updates": 1.0, "width": 0.0625, "depth": 0.17}
    assert "# table3-C1: not comparable, other text, and this is not a full run" in err
    assert main(["reproduce", "table3", "--summary", "C1", "--workdir", "table"]) == 0
    out, _ = capsys.readouterr()
    (row,) = json.loads(out)["rows"]
    assert row["score"] == verdict["score"]
    assert (tmp_path / "table/table3.md").exists()
