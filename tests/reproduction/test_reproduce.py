"""A target from its data to its verdict, interrupted and continued."""

import dataclasses
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs, tiny_config

import transformer_jax as tj
from transformer_jax.checkpoints.options import LastAndBest
from transformer_jax.config.reading import config_to_dict
from transformer_jax.errors import InputError
from transformer_jax.reproduction import reproduce as stages
from transformer_jax.reproduction.scaling import target_settings
from transformer_jax.reproduction.targets import TARGETS

pytestmark = pytest.mark.slow


def tiny_settings(folder, **changes):
    """Settings of a tiny run on files."""
    paths = {}
    pairs = reversed_pairs(120)
    parts = {"train": pairs[:100], "validation": pairs[100:112], "test": pairs[112:]}
    for split, part in parts.items():
        for number, side in enumerate(("source", "target")):
            path = Path(folder, f"{split}.{side}")
            path.write_text("".join(f"{pair[number]}\n" for pair in part))
            paths[f"data__{split}_{side}_path"] = str(path)
    return tiny_config(
        **paths,
        training__num_steps=8,
        training__checkpoint_every_steps=2,
        training__checkpoint_every_minutes=None,
        training__keep_last=5,
        **changes,
    )


class StoppedError(Exception):
    """What interrupts a stage."""


def make(workdir, config, target="table2-base-en-de", **scale):
    return tj.reproduce(target, workdir, config=config, progress=False, **scale)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    config = tiny_settings(folder)
    workdir = folder / "run"
    verdict = make(workdir, config)
    return workdir, config, verdict


def test_the_verdict_says_what_was_done(run):
    workdir, config, verdict = run
    assert json.loads((workdir / "verdict.json").read_text()) == verdict
    assert verdict["target"] == "table2-base-en-de"
    assert (verdict["paper_score"], verdict["paper_training_flops"]) == (27.3, 3.3e18)
    assert verdict["averaged_steps"] == [2, 4, 6, 8]
    assert verdict["num_updates"] == 8
    assert verdict["num_sentences"] == 8
    assert verdict["difference"] == pytest.approx(verdict["score"] - 27.3)
    low, high = verdict["difference_interval"]
    assert low <= verdict["difference"] <= high < 0
    assert verdict["is_met"] is None  # It is another test set.
    assert not verdict["is_full_run"]
    assert any(
        line.startswith("model.d_model: 512 ->") for line in verdict["differs_by"]
    )
    assert any("3,003 -> 8" in line for line in verdict["differs_by"])
    assert verdict["seed"] == config.training.seed


def test_its_numbers_are_those_of_evaluate_and_of_the_metrics(run):
    workdir, _, verdict = run
    result = tj.evaluate(workdir, checkpoint="average", progress=False)
    assert verdict["perplexity_per_subword"] == pytest.approx(
        result.scores["perplexity"]
    )
    named = {score["name"]: score["value"] for score in verdict["scores"]}
    assert named["sacreBLEU"] == pytest.approx(result.scores["bleu"])
    assert verdict["score"] == pytest.approx(result.scores["paper_bleu"])
    assert (workdir / "translations.txt").read_text().splitlines() == [
        *result.translations
    ]
    data = tj.prepare(tj.load_config(workdir / "config.json"), workdir)
    # 8 updates of 8 rows are a little more than one epoch of the text.
    lengths = sum(map(len, data.train.target))
    lines = tj.read_metrics(workdir)
    epochs = [line["epoch"] for line in lines if line["kind"] == "train"][-1]
    assert verdict["target_tokens"] == pytest.approx(epochs * lengths, rel=0.1)


def test_the_page_has_the_numbers(run):
    workdir, _, verdict = run
    page = (workdir / "verdict.md").read_text()
    assert page.startswith(
        "# table2-base-en-de: not comparable, other text, and this is not a full run\n"
    )
    assert f"{verdict['score']:.2f} on 8 other sentences" in page
    assert "| operations of training | 3.3e+18 |" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    columns = {line.replace(r"\|", "").count("|") for line in table}
    assert columns == {4}


def test_a_finished_run_is_not_made_again(run, caplog, monkeypatch):
    workdir, config, verdict = run

    def refuse(*_, **__):
        raise AssertionError("it decodes again")

    monkeypatch.setattr(stages, "evaluate", refuse)
    caplog.set_level(logging.INFO, "transformer_jax")
    again = make(workdir, config)
    assert again == verdict
    assert "the verdict was there" in caplog.text


@pytest.mark.parametrize("stage", ["train", "average_checkpoints", "evaluate"])
def test_an_interrupted_run_ends_with_the_same_verdict(
    run, stage, tmp_path, monkeypatch
):
    _, _, whole = run
    config = tiny_settings(tmp_path)
    workdir = tmp_path / "run"

    def stop(*_, **__):
        raise StoppedError

    with monkeypatch.context() as patched:
        if stage == "train":

            def partly(config, folder, **named):
                training = dataclasses.replace(config.training, num_steps=4)
                tj.train(config.replace(training=training), folder, **named)
                raise StoppedError

            patched.setattr(stages, "train", partly)
        else:
            patched.setattr(stages, stage, stop)
        with pytest.raises(StoppedError):
            make(workdir, config)
    assert not (workdir / "verdict.json").exists()
    found = make(workdir, config)
    of_the_clock_and_place = "training_hours", "data", "text", "config_digest"
    for name in whole.keys() - set(of_the_clock_and_place):
        if name == "differs_by":
            continue
        assert found[name] == whole[name], name


def test_a_damaged_verdict_is_made_again(run, tmp_path):
    workdir, config, verdict = run
    path = workdir / "verdict.json"
    whole = path.read_text()
    stump = {"target": verdict["target"], "config_digest": verdict["config_digest"]}
    foreign = json.dumps({**verdict, "scores": [], "score": float("nan")})
    for damaged in (whole[:100], json.dumps(stump), foreign):
        path.write_text(damaged)
        found = tj.reproduce(
            "table2-base-en-de", workdir, config=config, progress=False
        )
        assert found["score"] == verdict["score"]
        assert json.loads(path.read_text()) == found


def test_a_damaged_average_is_made_again(run, tmp_path, caplog):
    workdir, config, verdict = run
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "verdict.json").unlink()
    largest = max(
        (tmp_path / "run" / "average").rglob("params/**/d/*"),
        key=lambda path: path.stat().st_size,
    )
    largest.write_bytes(b"x" + largest.read_bytes()[1:])
    after = make(tmp_path / "run", config)
    assert "is damaged" in caplog.text
    assert after["perplexity_per_subword"] == verdict["perplexity_per_subword"]


def test_another_test_set_is_scored_again(run, tmp_path):
    workdir, config, before = run
    shutil.copytree(workdir, tmp_path / "run")
    path = tmp_path / "test.target"
    text = Path(config.data.test_target_path).read_text()
    path.write_text(text.replace("a", "e"))
    data = dataclasses.replace(config.data, test_target_path=str(path))
    after = make(tmp_path / "run", config.replace(data=data))
    assert after["text_digest"] != before["text_digest"]
    assert after["perplexity_per_subword"] != before["perplexity_per_subword"]
    assert after["training_hours"] == before["training_hours"]


def test_a_scaled_row_of_table_3(tmp_path, caplog):
    """Its last checkpoint on the validation set; the scale is in every line."""
    caplog.set_level(logging.INFO, "transformer_jax.reproduction")
    config = tiny_settings(tmp_path)
    whole = target_settings(TARGETS["table3-A1"]).training
    config = config.replace(
        training=dataclasses.replace(config.training, num_steps=whole.num_steps)
    )
    workdir = tmp_path / "a"
    verdict = make(workdir, config, "table3-A1", scale=0.00003)
    assert verdict["num_updates"] == 3
    assert verdict["averaged_steps"] == []
    assert verdict["num_sentences"] == 12
    assert verdict["paper_perplexity"] == 5.29
    words = "3e-05 of the updates"
    # Other loggers may speak too: tests before this one set their level.
    said = [r.getMessage() for r in caplog.records if "reproduction" in r.name]
    assert all(words in line for line in said)
    assert len(said) == 2
    page = (workdir / "verdict.md").read_text()
    assert page.count(words) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"training__seed": 7},
        {"training__label_smoothing": 0.0},
        {"training__num_steps": 6},
        {"optimizer__learning_rate_scale": 3.0},
        {"data__train_target_path": "other"},
    ],
)
def test_another_run_is_not_judged_by_what_is_there(run, changes):
    """Its number would be that of the settings it was trained with."""
    workdir, config, verdict = run
    for name, value in changes.items():
        section, field = name.split("__")
        part = dataclasses.replace(getattr(config, section), **{field: value})
        other = config.replace(**{section: part})
        with pytest.raises(InputError, match=f"begun with.*{section}.{field}"):
            make(workdir, other)
    assert json.loads((workdir / "verdict.json").read_text()) == verdict


def test_a_test_set_that_cannot_be_read_is_known_before_training(tmp_path):
    config = tiny_settings(tmp_path)
    (tmp_path / "test.target").unlink()
    with pytest.raises(InputError, match=r"test\.target"):
        make(tmp_path / "run", config)
    (tmp_path / "test.target").write_text("\n" * 8)
    with pytest.raises(InputError, match=r"no pair of .* can be used"):
        make(tmp_path / "run", config)
    (tmp_path / "test.target").unlink()
    os.mkfifo(tmp_path / "test.target")
    with pytest.raises(InputError, match=r"test\.target can be read once"):
        make(tmp_path / "run", config)
    nothing = dict.fromkeys(("test_source_path", "test_target_path"))
    config = config.replace(data=dataclasses.replace(config.data, **nothing))
    with pytest.raises(InputError, match=r"newstest2014: set data\.test_source_path"):
        make(tmp_path / "run", config)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_sizes_that_a_scale_leaves_are_known_before_training(tmp_path):
    config = target_settings(TARGETS["table2-base-en-de"])
    with pytest.raises(InputError, match=r"at 0\.1 of the width: model\.d_model=51"):
        make(tmp_path / "run", config, width_scale=0.1)
    assert not (tmp_path / "run").exists()


def test_an_interruption_changes_no_average(tmp_path):
    """Its checkpoint is one more, of which the average has none."""
    training = tiny_settings(tmp_path).training
    training = dataclasses.replace(training, checkpoint_every_steps=80, keep_last=3)
    policy = LastAndBest(training, {})
    assert policy.steps_to_remove([80, 160, 176]) == set()
    assert policy.steps_to_remove([80, 160, 176, 240]) == {176}
    assert policy.steps_to_remove([80, 160, 240, 320]) == {80}
    by_time = dataclasses.replace(training, checkpoint_every_minutes=10.0)
    assert LastAndBest(by_time, {}).steps_to_remove([80, 160, 176, 240]) == {80}


def test_what_python_gives_is_checked(tmp_path):
    for wrong in ({"scale": "a"}, {"scale": 0.0}, {"config": 3}, {"width_scale": 2.0}):
        with pytest.raises(InputError):
            tj.reproduce("table3-base", tmp_path / "a", progress=False, **wrong)
    with pytest.raises(InputError, match="not a result of the paper"):
        tj.reproduce("table9", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_settings_of_a_run_are_stored(run):
    workdir, _, _ = run
    stored = tj.load_config(workdir / "config.json")
    assert config_to_dict(stored)["training"]["num_steps"] == 8
