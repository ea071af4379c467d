"""The commands from end to end; what they refuse is in bad_input/."""

import io
import json
import shutil
import subprocess
import sys

import pytest
from tiny_runs import reversed_pairs

from transformer_jax.cli import main

CONFIG = """
[model]
vocab_size = 300
d_model = 16
d_ff = 32
num_heads = 2
num_encoder_layers = 1
num_decoder_layers = 1

[data]
train_source_path = "{folder}/train.source"
train_target_path = "{folder}/train.target"
validation_source_path = "{folder}/validation.source"
validation_target_path = "{folder}/validation.target"
source_length = 24
target_length = 24
batch_tokens = 192
prefetch_batches = 2

[training]
num_steps = 2
log_every_steps = 1
checkpoint_every_steps = 1
validation_bleu_sentences = 2
"""


def write_files(folder, pairs, split):
    for side, name in enumerate(("source", "target")):
        text = "".join(pair[side] + "\n" for pair in pairs)
        (folder / f"{split}.{name}").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with settings and text, and a run of two updates made of them."""
    folder = tmp_path_factory.mktemp("cli")
    pairs = [*reversed_pairs(120), ("", "da"), ("du", " ")]
    write_files(folder, pairs, "train")
    write_files(folder, reversed_pairs(6, seed=1), "validation")
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))
    assert main(["train", f"{folder}/config.toml", "--workdir", f"{folder}/run"]) == 0
    return folder


def fails(capsys, *arguments):
    """Returns the one line that a command which the user can mend has to say."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    # Log lines may stand before it; the complaint is the last one, and is one line.
    complaint = captured.err.strip().splitlines()[-1]
    assert complaint.startswith("transformer-jax: ")
    return complaint


def test_prepare_counts_pairs_and_trains_nothing(folder, tmp_path, capsys):
    assert main(["prepare", f"{folder}/config.toml", "--workdir", str(tmp_path)]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["num_train_pairs"] == 120
    assert counts["num_empty_pairs"] == 2
    assert counts["source_vocab_size"] == 300
    assert not (tmp_path / "checkpoints").exists()


def test_a_setting_on_the_command_line_wins_over_the_file(folder, tmp_path, capsys):
    arguments = ["train", f"{folder}/config.toml", "--workdir", str(tmp_path)]
    assert main([*arguments, "--training.num-steps", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 1
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["training"]["num_steps"] == 1
    assert config["model"]["d_model"] == 16


@pytest.mark.smoke
def test_translate_gives_a_line_for_a_line(folder, tmp_path, capsys, monkeypatch):
    text = "ba be\n\n  \nko\u2028ku\r\nmi"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["translate", f"{folder}/run"]) == 0
    printed = capsys.readouterr().out.split("\n")
    assert len(printed) == 5 + 1
    assert printed[1] == printed[2] == printed[5] == ""

    source, output = tmp_path / "in", tmp_path / "out"
    source.write_bytes(text.encode())
    arguments = ["translate", f"{folder}/run", "--input", str(source)]
    assert main([*arguments, "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8").split("\n") == printed
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_translate_lists_the_n_best_as_json(folder, tmp_path, capsys):
    (tmp_path / "in").write_text("ba be\n\nko\n")
    arguments = ["translate", f"{folder}/run", "--input", f"{tmp_path}/in"]
    assert main([*arguments, "--n-best", "3", "--format", "jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["line"], r["rank"]) for r in records] == [
        *((1, rank) for rank in (1, 2, 3)),
        (2, 1),
        *((3, rank) for rank in (1, 2, 3)),
    ]
    scores = [r["score"] for r in records if r["line"] == 1]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.smoke
def test_evaluate_and_average_print_one_json_object(folder, capsys):
    assert main(["average", f"{folder}/run", "--last", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["checkpoint"], told["steps"]) == ("average", [1, 2])
    assert main(["info", f"{folder}/run"]) == 0
    assert json.loads(capsys.readouterr().out)["averages"] == {"2": told["steps"]}
    arguments = ["evaluate", f"{folder}/run", "--checkpoint", "average"]
    assert main([*arguments, "--split", "validation", "--examples", "2"]) == 0
    captured = capsys.readouterr()
    scores = json.loads(captured.out)
    expected = {"loss", "perplexity", "bleu", "bleu_signature", "chrf", "paper_bleu"}
    assert expected <= scores.keys()
    assert scores["num_sentences"] == 6
    assert scores["step"] == 2
    assert captured.err.count("reference") == 2


def test_evaluate_takes_any_two_files(folder, tmp_path, capsys):
    write_files(tmp_path, [("ba be", "be ba"), ("", "")], "any")
    files = ["--source", f"{tmp_path}/any.source", "--target", f"{tmp_path}/any.target"]
    penalty = ["--length-penalty", "length", "--length-penalty-alpha", "0.5"]
    assert (
        main(["evaluate", f"{folder}/run", *files, "--beam-size", "2", *penalty]) == 0
    )
    scores = json.loads(capsys.readouterr().out)
    assert (scores["num_sentences"], scores["beam_size"]) == (2, 2)
    assert (scores["length_penalty"], scores["length_penalty_alpha"]) == ("length", 0.5)


def test_a_finished_run_without_metrics_is_finished_still(folder, tmp_path, capsys):
    shutil.copytree(f"{folder}/run", tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    arguments = ["train", f"{folder}/config.toml", "--workdir", f"{tmp_path}/run"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2


@pytest.mark.long
def test_a_run_that_stops_early_says_why(folder, tmp_path, capsys):
    """With a rate so small that no parameter changes, no result is better."""
    arguments = ["train", f"{folder}/config.toml", "--workdir", str(tmp_path)]
    arguments += ["--training.num-steps", "4", "--training.evaluate-every-steps", "1"]
    arguments += ["--optimizer.learning-rate-scale", "1e-30"]
    assert main([*arguments, "--training.patience-evaluations", "2"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["step"] == 3
    note = captured.err.strip().splitlines()[-1]
    assert note.startswith("stopped early at step 3: ")
    assert "of step 1 for 2 evaluations" in note
    assert f"translate {tmp_path} --checkpoint best`" in note
    complaint = fails(capsys, *arguments, "--training.patience-evaluations", "0")
    assert "training.patience_evaluations=0 must be at least 1, or none" in complaint
    assert main([*arguments, "--training.patience-evaluations", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 4


def test_info_of_a_configuration_by_name(capsys):
    assert main(["info", "wmt14_en_de_big"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["model"]["d_model"] == 1024
    assert "multi30k_en_de" in fails(capsys, "info", "wmt15")
    assert "runs/none" in fails(capsys, "info", "runs/none")
    assert "is neither a work directory nor" in fails(capsys, "info", "/")


def test_info_counts_parameters(folder, capsys):
    assert main(["info", f"{folder}/config.toml"]) == 0
    from_file = json.loads(capsys.readouterr().out)
    assert from_file["num_parameters"] == sum(from_file["parameters"].values())
    assert from_file["on_this_hardware"] == {
        "model.scan_unroll": 1,
        "model.attention_kernel": "xla",
        "training.loss_slice_tokens": 2_048,
        "decoding.batch_tokens": 2_048,
        "decoding.compute_dtype": "float32",
    }
    assert main(["info", f"{folder}/run"]) == 0
    found = json.loads(capsys.readouterr().out)
    of_run = "checkpoints", "averages", "initial_checkpoint", "stopped_early"
    kept = {name: found[name] for name in of_run}
    assert found == from_file | kept
    assert kept["checkpoints"][-1] == 2
    # Of a checkpoint by itself.
    assert main(["info", f"{folder}/run/checkpoints/2"]) == 0
    alone = {"averaged_steps": [], "initial_checkpoint": None}
    assert json.loads(capsys.readouterr().out) == from_file | alone


def test_an_output_that_cannot_be_written_costs_no_evaluation(
    folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("transformer_jax.evaluation.evaluate.evaluate", None)
    run = ["evaluate", f"{folder}/run"]
    for output in (f"{tmp_path}/no/file", f"{tmp_path}"):
        line = fails(capsys, *run, "--output", output)
        assert f"{output}: cannot be written (" in line
    assert "--examples -1 must be" in fails(capsys, *run, "--examples", "-1")
    assert not list(tmp_path.iterdir())


def test_another_vocabulary_than_the_run_has(folder, capsys):
    arguments = ["train", f"{folder}/config.toml", "--workdir", f"{folder}/run"]
    line = fails(capsys, *arguments, "--model.vocab-size", "290")
    assert f"--workdir {folder}/run holds" in line
    assert "model.vocab_size" in line


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("transformer-jax 0.")


@pytest.mark.smoke
def test_help_and_import_load_no_heavy_package():
    code = (
        "import sys, transformer_jax\n"
        "from transformer_jax.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'tensorflow_datasets', 'grain',"
        " 'sentencepiece', 'sacrebleu', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_after_a_signal_nothing_waits_for_what_still_computes():
    program = (
        "import atexit\n"
        "import transformer_jax.cli as cli, transformer_jax.__main__ as program\n"
        "atexit.register(print, 'the end of Python')\n"
        "cli.main = lambda: print('interrupted') or 143\n"
        "raise SystemExit(program.main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert (ended.returncode, ended.stdout) == (143, b"interrupted\n")


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_text_of_a_run_is_not_replaced(folder, side, capsys):
    text = folder / f"validation.{side}"
    before = text.read_bytes()
    command = ["evaluate", folder / "run", "--split", "validation", "--output", text]
    assert f"{text} is an input too" in fails(capsys, *command)
    assert text.read_bytes() == before
