"""The command `attention --find`: its report, and what bad input answers."""

import json

import pytest
from tiny_runs import trained_run

import transformer_jax as tj
from transformer_jax.cli import main

PAIRS = [("ba be bi", "bi be ba"), ("ko ku", "ku ko")]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for side, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    (tmp_path / "empty").write_text("")
    (tmp_path / "one").write_text("ba\n")


def run(*arguments):
    return main(["attention", str(trained_run().workdir), *map(str, arguments)])


def test_the_report_is_that_of_python(capsys):
    assert run("--find", "--source", "source", "--target", "target") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    found = tj.find_heads(trained_run().workdir, pairs=PAIRS, progress=False)
    assert report["num_pairs"] == 2
    assert len(report["heads"]) == len(found.heads)
    for told, head in zip(report["heads"], found.heads, strict=True):
        assert (told["kind"], told["layer"]) == (head.kind, head.layer)
        assert [job["name"] for job in told["jobs"]] == [
            job.name for job in head.jobs[:3]
        ]
        assert told["jobs"][0]["rate"] == pytest.approx(head.jobs[0].rate)
        assert told["jobs"][0]["margin"] == pytest.approx(head.jobs[0].margin)
    assert str(found).splitlines()[0] in shown.err


def test_the_models_own_translations(capsys):
    assert run("--find", "--source", "source", "--max-pairs", "1") == 0
    assert json.loads(capsys.readouterr().out)["num_pairs"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--find", "has no validation data"),
        ("--find --split test", "has no test data"),
        ("--find --split dev", "invalid choice 'dev' for argument '--split'"),
        ("--find --source empty", "empty is empty: give a sentence a line"),
        ("--find --source empty --target empty", "empty"),
        ("--find --source source --target one", "one has 1"),
        ("--find --source nothing", "nothing"),
        ("--find --target target", "--target needs --source"),
        ("--find --source source --split test", "exclude each other"),
        ("--find --output a.html", "--output is of no use with --find"),
        ("--find --layer 0", "--layer is of no use with --find"),
        ("--find --heads 0 1", "--heads is of no use with --find"),
        ("--find --max-pairs 0 --source one", "--max-pairs 0 must be at least 1"),
        ("--find --checkpoint 77 --source one", "77"),
        ("--find --ensemble other", "--ensemble"),
        ("--source ba --output a.html --split test", "--split is of use with --find"),
        ("--source ba --output a.html --max-pairs 3", "--max-pairs is of use with"),
        ("--output a.html", "--source is missing"),
    ],
)
def test_bad_input_is_one_line(arguments, says, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert run(*arguments.split()) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
