"""The command `score`: a line for a pair, a summary, and what bad input answers."""

import gzip
import json
import math

import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.cli import main
from transformer_jax.commands import score as scoring
from transformer_jax.scoring.alignment import align, pharaoh
from transformer_jax.scoring.scores import score

PAIRS = [
    *reversed_pairs(9, seed=5),
    ("", "ba"),
    ("bo bu", ""),
    ("\u05d0 \U0001f600", "x"),
]
SOURCES, TARGETS = map(list, zip(*PAIRS, strict=True))


@pytest.fixture
def files(tmp_path):
    """The arguments that name the two files."""
    for name, lines in ("source", SOURCES), ("target", TARGETS):
        text = "".join(line + "\n" for line in lines)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return ["--source", f"{tmp_path}/source", "--target", f"{tmp_path}/target"]


def run(*arguments) -> int:
    return main(["score", str(trained_run().workdir), *arguments])


def test_a_line_of_text_for_each_pair(files, capsys):
    assert run(*files) == 0
    printed = capsys.readouterr()
    expected = score(trained_run().result.translator, SOURCES, TARGETS)
    lines = printed.out.splitlines()
    assert len(lines) == len(PAIRS)
    for line, found in zip(lines, expected, strict=True):
        assert [float(part) for part in line.split("\t")] == pytest.approx(
            [found.log_prob, found.score], abs=1e-4
        )
    # Standard output is taken, so the summary is told aside.
    summary = json.loads(printed.err.splitlines()[-1])
    total = sum(found.log_prob for found in expected)
    number = sum(found.num_tokens for found in expected)
    assert summary == {
        "num_sentences": len(PAIRS),
        "num_tokens": number,
        "log_prob": pytest.approx(total, abs=1e-3),
        "nll": pytest.approx(-total / number, abs=1e-4),
        "perplexity": pytest.approx(math.exp(-total / number), rel=1e-4),
        "checkpoint": "latest",
    }


def test_json_has_tokens_and_alignments(files, tmp_path, capsys, monkeypatch):
    # Several chunks, the last of one pair.
    monkeypatch.setattr(scoring, "_CHUNK_LINES", len(PAIRS) - 1)
    options = ["--format", "jsonl", "--alignments", "--length-penalty", "none"]
    assert run(*files, *options, "--output", f"{tmp_path}/out") == 0
    assert json.loads(capsys.readouterr().out)["num_sentences"] == len(PAIRS)
    text = (tmp_path / "out").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    translator = trained_run().result.translator
    links = align(translator, SOURCES, TARGETS)
    scores = score(translator, SOURCES, TARGETS)
    assert len(records) == len(PAIRS)
    for number, record in enumerate(records):
        assert record["line"] == number + 1
        assert (record["source"], record["target"]) == PAIRS[number]
        assert record["alignment"] == pharaoh(links[number])
        assert record["pieces"] == scores[number].pieces
        assert len(record["token_log_probs"]) == record["num_tokens"]
        assert sum(record["token_log_probs"]) == pytest.approx(record["log_prob"])
        assert record["score"] == record["log_prob"]


def test_alignments_are_a_third_column(files, capsys):
    assert run(*files, "--alignments", "--checkpoint", "36") == 0
    columns = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [len(parts) for parts in columns] == [3] * len(PAIRS)
    assert columns[9][2] == columns[10][2] == ""
    assert columns[0][2].split()[-1].endswith(f"-{len(TARGETS[0].split()) - 1}")


def test_packed_files_are_read(files, tmp_path, capsys):
    assert run(*files) == 0
    plain = capsys.readouterr().out
    text = (tmp_path / "source").read_bytes()
    (tmp_path / "source.gz").write_bytes(gzip.compress(text))
    assert run("--source", f"{tmp_path}/source.gz", *files[2:]) == 0
    assert capsys.readouterr().out == plain


def test_models_of_an_ensemble_are_named_by_their_directories(files, capsys):
    other = str(trained_run().workdir / "checkpoints" / "27")
    printed = []
    for options in ([], ["--ensemble", other], ["--checkpoint", "27"]):
        assert run(*files, *options) == 0
        lines = capsys.readouterr().out.splitlines()
        printed.append([float(line.split("\t")[0]) for line in lines])
    one, both, another = printed
    for mean, *each in zip(both, one, another, strict=True):
        # The logarithm of a mean is at least the mean of the logarithms.
        assert mean > sum(each) / 2 - 1e-3
    assert both != one != another


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--target", "{folder}/short"], "has 12 lines but {folder}/short has 1: each"),
        (["--target", "{folder}/none"], "{folder}/none"),
        (["--checkpoint", "newest"], "--checkpoint newest must be latest, best, "),
        (["--output", "{folder}/no/out"], "{folder}/no/out: cannot be written"),
        (["--coverage-penalty", "-1"], "--coverage-penalty -1"),
    ],
)
def test_what_the_user_can_mend_is_one_line(files, tmp_path, change, message, capsys):
    (tmp_path / "short").write_text("ba\n")
    given = [part.format(folder=tmp_path) for part in change]
    assert run(*files, *given) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    complaint = printed.err.strip().splitlines()[-1]
    assert complaint.startswith("transformer-jax: ")
    assert message.format(folder=tmp_path) in complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_pair_that_is_too_long_is_scored_in_parts_or_named(
    files, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(scoring, "_CHUNK_LINES", 5)
    lines = SOURCES.copy()
    lines[6] = "ba be bi bo bu. " * 12
    text = "".join(f"{line}\n" for line in lines)
    (tmp_path / "source").write_text(text, encoding="utf-8")
    assert run(*files, "--alignments") == 0
    row = capsys.readouterr().out.splitlines()[6].split("\t")
    translator = trained_run().result.translator
    (expected,) = score(translator, lines[6:7], TARGETS[6:7])
    assert float(row[0]) == pytest.approx(expected.log_prob, abs=1e-4)
    assert row[2] == pharaoh(*align(translator, lines[6:7], TARGETS[6:7]))
    assert run(*files, "--too-long", "refuse") == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.endswith("--too-long split.")
    assert f"{tmp_path}/source: line 7 has " in complaint
    assert "more than --max-source-tokens 24" in complaint


@pytest.mark.parametrize("command", ["translate", "score"])
def test_a_layer_of_alignments_that_are_not_asked_for_is_refused(command, capsys):
    files = {"translate": ["--input", "x"], "score": ["--source", "x", "--target", "y"]}
    arguments = [command, str(trained_run().workdir), *files[command]]
    assert main([*arguments, "--alignment-layer", "0"]) == 2
    assert "--alignment-layer is of use with --align" in capsys.readouterr().err


def test_the_layer_that_aligns_is_told_and_can_be_chosen(tmp_path, capsys):
    for name in ("source", "target"):
        (tmp_path / name).write_text("ba be\n")
    files = [f"--{name}={tmp_path / name}" for name in ("source", "target")]
    arguments = ["score", str(trained_run().workdir), *files, "--alignments"]
    told = {(): "1 (of 0 to 1)", ("--alignment-layer", "0"): "0 (of 0 to 1)"}
    for flags, layer in told.items():
        assert main([*arguments, *flags]) == 0
        assert f"attention of decoder layer {layer}" in capsys.readouterr().err
    assert main([*arguments, "--alignment-layer", "2"]) == 2
    assert "--alignment-layer 2 is not one of the 2 " in capsys.readouterr().err
