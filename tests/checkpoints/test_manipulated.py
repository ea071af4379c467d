"""A checkpoint from someone else is safe to open: whatever its values are."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import trained_run

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.checksums import write_checksums
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.cli import main
from transformer_jax.errors import InputError
from transformer_jax.training.resume import find_start
from transformer_jax.training.run_record import RunRecord

NESTED = "[" * 200_000


@pytest.fixture
def copied(tmp_path) -> Path:
    """The trained run, with checkpoints 24, 27 and 36, to manipulate."""
    return Path(shutil.copytree(trained_run().workdir, tmp_path / "run"))


def change(item: Path, *path: str, value) -> None:
    """Changes a value of an item that is JSON, and its checksums with it."""
    file = item / "metadata"
    values = json.loads(file.read_text())
    inner = values
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(json.dumps(values))
    (item / "checksums.json").unlink()
    write_checksums(item)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["position"], 5),
        (["position"], {}),
        (["position", "row"], "x"),
        (["position", "row"], -100),
        (["position", "num_rows"], 0),
        (["window"], "x"),
        (["window"], {"a": 1}),
        (["skipped_in_a_row"], "x"),
    ],
)
def test_a_record_of_wrong_values_is_damaged(path, value, copied):
    change(copied / "checkpoints" / "36" / "run", *path, value=value)
    start = find_start(trained_run().config, copied)
    assert (start.step, start.set_aside) == (27, (36,))


def test_what_a_later_version_adds_to_a_record_is_left_out(copied):
    run = copied / "checkpoints" / "36" / "run"
    before = RunRecord.from_dict(json.loads((run / "metadata").read_text()))
    for path in (["zzz"], ["position", "zzz"], ["window", "zzz"]):
        change(run, *path, value=1)
    change(copied / "checkpoints" / "36" / "tokenizer", "zzz", value="x")
    stored = StoredCheckpoints(copied)
    stored.verify(36)
    after = RunRecord.from_dict(stored.run_record(36))
    assert after.position == before.position


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["model", "d_model"], 64),
        (["model", "num_heads"], 16),
        (["model", "num_encoder_layers"], 3),
        (["model", "d_model"], 10**30),
        (["model", "positions"], "of tomorrow"),
    ],
)
def test_settings_that_do_not_fit_the_parameters_are_refused(
    path, value, copied, capsys
):
    change(copied / "checkpoints" / "36" / "config", *path, value=value)
    (copied / "one.txt").write_text("ba be\n")
    assert main(["translate", str(copied), "--input", str(copied / "one.txt")]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert str(copied / "checkpoints" / "36") in errors.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "name",
    [
        "params/checksums.json", "config/metadata", "tokenizer/metadata",
        "run/metadata", "_CHECKPOINT_METADATA",
    ],
)  # fmt: skip
def test_nesting_without_end_is_damage(name, copied):
    path = copied / "checkpoints" / "36" / name
    path.write_text(NESTED)
    if path.name == "metadata":
        (path.parent / "checksums.json").unlink()
        write_checksums(path.parent)
    with pytest.raises(InputError, match=path.name):
        StoredCheckpoints(copied).verify(36)


def test_nesting_elsewhere_in_the_directory_is_damage_too(copied, capsys):
    parts = {
        "metrics.jsonl": "metrics.jsonl",
        "corpus/train": "corpus/train/manifest.json",
        "tokenizer": "tokenizer.json",
        "config.json": "config.json",
    }
    for name in parts.values():
        (copied / name).write_text(NESTED)
    (copied / "checkpoints" / "24" / "metrics" / "metrics").write_text(NESTED)
    assert main(["info", str(copied), "--verify"]) == 2
    verified = json.loads(capsys.readouterr().out)["verified"]
    assert {n for n, state in verified.items() if state != "whole"} == set(parts)


@pytest.mark.parametrize("steps", [None, "x", ["a"], []])
def test_an_average_must_list_its_steps(steps, copied, capsys):
    average_checkpoints(copied, 2)
    change(copied / "average" / "36" / "average", "steps", value=steps)
    (copied / "one.txt").write_text("ba be\n")
    command = ["translate", str(copied), "--checkpoint", "average"]
    assert main([*command, "--input", str(copied / "one.txt")]) == 2
    assert "average" in capsys.readouterr().err.splitlines()[-1]


def test_results_that_are_no_numbers_are_none(copied, caplog):
    file = copied / "checkpoints" / "36" / "metrics" / "metrics"
    file.write_text('{"loss": "x"}')
    assert StoredCheckpoints(copied).validation(36) == {}
    assert "metrics is damaged" in caplog.text


@pytest.mark.parametrize("where", ["checkpoints/36", "checkpoints", ""])
def test_a_checkpoint_is_no_work_directory(where, copied):
    if not where:
        for path in (copied / "checkpoints").iterdir():
            shutil.move(path, copied)
    with pytest.raises(InputError, match=r"is a checkpoint|holds checkpoints itself"):
        find_start(trained_run().config, _folder(copied / where))


def _folder(path: Path):
    from transformer_jax.storage.work_directory import work_directory

    return work_directory(path)


def test_a_directory_of_any_name_finds_its_averages(copied, tmp_path):
    strange = Path(shutil.copytree(copied, tmp_path / "w[1] ü"))
    average_checkpoints(strange, 2)
    assert main(["info", str(strange), "--verify"]) == 0


def test_a_changed_manifest_makes_the_corpus_again(copied, caplog):
    from transformer_jax.training.preparation import prepare

    trained = trained_run()
    path = copied / "corpus" / "train" / "manifest.json"
    whole = path.read_text()
    path.write_text(whole.replace('"bos_id": 1', '"bos_id": 3'))
    assert path.read_text() != whole
    prepare(
        trained.config,
        copied,
        train_pairs=trained.train_pairs,
        validation_pairs=trained.validation_pairs,
    )
    assert "manifest.json' is damaged" in caplog.text
    assert json.loads(path.read_text()) == json.loads(whole)
