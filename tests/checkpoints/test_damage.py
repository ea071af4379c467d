"""No file of a checkpoint that is not as it was written is ever used."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import trained_run

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.checksums import CHECKSUMS, seal
from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.cli import main
from transformer_jax.errors import InputError
from transformer_jax.training.train import train
from transformer_jax.translation.translator import Translator


@pytest.fixture
def copied(tmp_path) -> Path:
    """The trained run, with checkpoints 24, 27 and 36, to damage."""
    return Path(shutil.copytree(trained_run().workdir, tmp_path / "run"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


DAMAGES = {"cut": cut, "missing": Path.unlink, "flipped": flip}
ITEMS = ("params", "training", "run", "config", "tokenizer")


def files_of(checkpoint: Path) -> list[Path]:
    items = [Path(checkpoint) / item for item in ITEMS]
    found = [path for item in items for path in item.rglob("*") if path.is_file()]
    assert len(found) > 15
    # Orbax's mark of an item that is complete, written last, is of no use later.
    return [path for path in found if path.name != "commit_success.txt"]


@pytest.mark.parametrize(
    "damage",
    ["flipped", *(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "missing"))],
)
def test_any_damage_to_any_file_is_seen_and_named(damage, copied):
    stored = StoredCheckpoints(copied)
    stored.verify(36)
    for path in files_of(stored.directory(36)):
        whole = path.read_bytes()
        if not whole:
            continue
        DAMAGES[damage](path)
        with pytest.raises(DamagedCheckpoint) as caught:
            stored.verify(36)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        path.write_bytes(whole)
    stored.verify(36)
    shutil.rmtree(stored.directory(36) / "params")
    with pytest.raises(DamagedCheckpoint, match="params is missing"):
        stored.verify(36)


def test_damaged_results_are_no_results(copied, caplog):
    assert checkpoint_dir(copied, "best").name in ("24", "36")
    for step in (24, 36):
        flip(copied / "checkpoints" / str(step) / "metrics" / "metrics")
    with pytest.raises(InputError, match="no checkpoint with validation results"):
        checkpoint_dir(copied, "best")
    assert "metrics is damaged" in caplog.text
    StoredCheckpoints(copied).verify(36)


def largest(folder: Path) -> Path:
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_translated_with_damaged_parameters(damage, copied, capsys):
    DAMAGES[damage](largest(copied / "checkpoints" / "36" / "params"))
    line = copied / "one.txt"
    line.write_text("ba be\n")
    for command in (
        ["translate", str(copied), "--input", str(line)],
        ["evaluate", str(copied), "--source", str(line), "--target", str(line)],
        ["score", str(copied), "--source", str(line), "--target", str(line)],
    ):
        assert main(command) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        last = errors.strip().splitlines()[-1]
        assert str(copied / "checkpoints" / "36" / "params") in last
        assert "--checkpoint 27 (checkpoint=27) is whole" in last
        assert "Traceback" not in errors
    assert Translator.from_checkpoint(copied, 27).translate(["ba be"])


@pytest.mark.slow
def test_an_average_is_made_and_read_of_whole_files_only(copied):
    average = average_checkpoints(copied, 2)
    flip(largest(average / "params"))
    with pytest.raises(DamagedCheckpoint, match="average/36/params"):
        Translator.from_checkpoint(copied, "average")
    flip(largest(copied / "checkpoints" / "27" / "params"))
    with pytest.raises(DamagedCheckpoint, match="checkpoints/27/params"):
        average_checkpoints(copied, 2)


def go_on(workdir: Path, num_steps: int):
    trained = trained_run()
    training = trained.config.replace(
        training=type(trained.config.training)(
            **{**vars(trained.config.training), "num_steps": num_steps}
        )
    )
    return train(
        training,
        workdir,
        train_pairs=trained.train_pairs,
        validation_pairs=trained.validation_pairs,
        progress=False,
    )


@pytest.mark.slow
def test_training_goes_on_from_the_checkpoint_before(copied, caplog):
    flip(largest(copied / "checkpoints" / "36" / "params"))
    cut(largest(copied / "checkpoints" / "27" / "training"))
    result = go_on(copied, 36)
    assert int(result.state.step) == 36
    assert (
        "Continuing from the checkpoint of step 24: the updates from there to step"
        in (caplog.text)
    )
    for step in (27, 36):
        assert f"checkpoints/{step}/" in caplog.text
        assert (copied / "set_aside" / str(step)).is_dir()
    assert result.translator.translate(["ba be bi"]) == (
        trained_run().result.translator.translate(["ba be bi"])
    )
    steps = [(line["kind"], line["step"]) for line in result.history]
    assert len(steps) == len(set(steps))


def test_where_none_is_whole_nothing_is_touched(copied):
    for step in (24, 27, 36):
        flip(largest(copied / "checkpoints" / str(step) / "params"))
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=r"checkpoints/36/.* so nothing was changed"):
        go_on(copied, 40)
    after = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    assert after == before


def test_names_in_the_sums_stay_inside(copied):
    sums = copied / "checkpoints" / "36" / "params" / CHECKSUMS
    values = json.loads(sums.read_text())["files"]
    for name in ("../../secret", "/etc/passwd", ""):
        sums.write_text(seal(values | {name: {"bytes": 0, "crc32": 0}}))
        with pytest.raises(DamagedCheckpoint, match="is outside its directory"):
            StoredCheckpoints(copied).verify(36)


def test_info_verifies_every_part(copied, capsys):
    average_checkpoints(copied, 2)
    assert main(["info", str(copied), "--verify"]) == 0
    parts = json.loads(capsys.readouterr().out)["verified"]
    assert parts == dict.fromkeys(
        [
            "config.json", "tokenizer", "metrics.jsonl", "corpus/train",
            "corpus/validation", "checkpoints/24", "checkpoints/27", "checkpoints/36",
            "average/36",
        ],
        "whole",
    )  # fmt: skip
    damaged = {
        "tokenizer": copied / "tokenizer.model",
        "metrics.jsonl": copied / "metrics.jsonl",
        "corpus/train": copied / "corpus" / "train" / "source_tokens.bin",
        "checkpoints/27": copied / "checkpoints" / "27" / "config" / "metadata",
        "average/36": largest(copied / "average" / "36" / "params"),
    }
    for path in damaged.values():
        cut(path) if path.suffix in (".model", ".jsonl") else flip(path)
    assert main(["info", str(copied), "--verify"]) == 2
    output, errors = capsys.readouterr()
    parts = json.loads(output)["verified"]
    assert {name for name, state in parts.items() if state != "whole"} == set(damaged)
    for name, path in damaged.items():
        assert str(path.name) in parts[name]
    assert "5 of 9 parts: " in errors


@pytest.mark.parametrize("item", ["params", "training", "config", "tokenizer"])
def test_an_item_of_another_checkpoint_is_seen(item, copied):
    """Each file is whole, but they do not belong together."""
    directories = [copied / "checkpoints" / str(step) for step in (36, 27)]
    shutil.rmtree(directories[0] / item)
    shutil.copytree(directories[1] / item, directories[0] / item)
    with pytest.raises(DamagedCheckpoint, match="is of another checkpoint"):
        StoredCheckpoints(copied).verify(36)
    if item != "training":  # Which translation does not read.
        with pytest.raises(DamagedCheckpoint, match="Take another: --checkpoint 27"):
            Translator.from_checkpoint(copied)


def test_a_run_does_not_continue_a_checkpoint_under_another_name(copied):
    checkpoints = copied / "checkpoints"
    shutil.copytree(checkpoints / "36", checkpoints / "90")
    run = trained_run()
    config = run.result.config
    longer = config.replace(training=dataclasses.replace(config.training, num_steps=99))
    with pytest.raises(InputError, match="90 is the checkpoint of step 36, under ano"):
        train(
            longer,
            copied,
            train_pairs=run.train_pairs,
            validation_pairs=run.validation_pairs,
            progress=False,
        )
    # A copy that lies elsewhere, under any name, is one to translate with.
    shutil.copytree(checkpoints / "36", copied / "kept")
    assert Translator.from_checkpoint(copied / "kept").translate(["ba"])
