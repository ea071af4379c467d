"""Claims: settings of their variants, and what is refused before any is trained."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs, tiny_config

import transformer_jax as tj
from transformer_jax.errors import InputError
from transformer_jax.evaluation.evaluate import EvaluationResult
from transformer_jax.reproduction.claims import (
    attention_scale,
    label_smoothing,
    trained_lengths,
)
from transformer_jax.reproduction.claims.claims import CLAIMS
from transformer_jax.reproduction.claims.report import write_claim
from transformer_jax.reproduction.claims.variants import change

MODULES = attention_scale, trained_lengths, label_smoothing


class TrainedError(Exception):
    """Training would begin here."""


@pytest.fixture
def config(tmp_path):
    paths = {}
    pairs = reversed_pairs(80, longest=10)
    for split, part in {"train": pairs[:50], "validation": pairs[50:]}.items():
        for number, side in enumerate(("source", "target")):
            path = tmp_path / f"{split}.{side}"
            path.write_text("".join(f"{pair[number]}\n" for pair in part))
            paths[f"data__{split}_{side}_path"] = str(path)
    lengths = {"data__source_length": 14, "data__target_length": 14}
    return tiny_config(**paths, **lengths)


@pytest.fixture
def seen(monkeypatch):
    """The settings of every variant that would be trained, by name."""
    settings = {}

    def train_variants(variants, workdir, **_):
        settings.update(variants)
        raise TrainedError

    for module in MODULES:
        monkeypatch.setattr(module, "train_variants", train_variants)
    return settings


def measure(name, folder, config):
    return tj.measure_claim(name, folder, config=config, progress=False)


def written(claim, folder, config):
    """Writes a claim of a section."""
    folder.mkdir(exist_ok=True)
    rows = [{"x": 1, "y": 2.0}, {"x": 2, "y": 3.0}]
    base = {"claim": "a", "verdict": "b", "num_sentences": 1, "holds": True}
    return write_claim(folder, config, {"rows": rows, **base, **claim}, x="x", y=("y",))


def test_variants_state_all_that_they_are_compared_by(config, seen, tmp_path):
    misleading = change(
        config,
        model__d_k=16,
        model__attention_scale=0.5,
        model__positions="learned",
        training__label_smoothing=0.3,
    )
    for module in MODULES:
        name = module.__name__.rpartition(".")[2]
        run = getattr(module, f"measure_{name}")
        with pytest.raises(TrainedError):
            run(misleading, tmp_path / name, progress=False)
    models = {name: each.model for name, each in seen.items()}
    for d_k in attention_scale.D_K:
        for kind, scale in (("scaled", None), ("unscaled", 1.0)):
            model = models[f"d_k_{d_k}_{kind}"]
            assert (model.d_k, model.attention_scale) == (d_k, scale)
    for name, positions, length in (
        ("sinusoids_short", "sinusoidal", 7),
        ("table_short", "learned", 7),
        ("table_long", "learned", 14),
    ):
        assert models[name].positions == positions
        data = seen[name].data
        assert (data.source_length, data.target_length) == (length, length)
    for epsilon in label_smoothing.EPSILONS:
        assert seen[f"epsilon_{epsilon}"].training.label_smoothing == epsilon


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("claim-attention-scale", "model__d_k", 16),
        ("claim-attention-scale", "model__attention_scale", 0.5),
        ("claim-trained-lengths", "model__positions", "learned"),
        ("claim-label-smoothing", "training__label_smoothing", 0.3),
    ],
)
def test_what_variants_differ_in_is_not_given(
    name, setting, value, config, seen, tmp_path
):
    words = setting.replace("__", r"\.")
    with pytest.raises(InputError, match=f"leave out {words}={value}"):
        measure(name, tmp_path / "a", change(config, **{setting: value}))
    assert not (tmp_path / "a").exists()
    other = next(each for each in CLAIMS if each != name)
    changed = change(config, **{setting: value})
    with pytest.raises(TrainedError):  # The others train with it.
        measure(other, tmp_path / "b", changed)


def test_lengths_of_two_sides_are_the_same(config, seen, tmp_path):
    with pytest.raises(InputError, match=r"source_length=10 .*target_length=14 must"):
        measure(
            "claim-trained-lengths",
            tmp_path / "a",
            change(config, data__source_length=10),
        )


@pytest.mark.parametrize("name", CLAIMS)
def test_validation_text_is_read_before_training(name, config, seen, tmp_path):
    paths = "validation_source_path", "validation_target_path"
    without = dataclasses.replace(config.data, **dict.fromkeys(paths))
    with pytest.raises(InputError, match=r"set data\.validation_source_path"):
        measure(name, tmp_path / "a", config.replace(data=without))
    Path(config.data.validation_target_path).write_text("\n" * 30)
    with pytest.raises(InputError, match=r"no pair of .* can be used"):
        measure(name, tmp_path / "a", config)
    os.mkfifo(tmp_path / "pipe")  # Nobody writes into it: it would wait.
    for path in (str(tmp_path / "pipe"), "-"):
        changed = change(config, data__validation_source_path=path)
        with pytest.raises(InputError, match=f"{path} can be read once"):
            measure(name, tmp_path / "a", changed)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_in_the_way_is_known_before_training(name, config, seen, tmp_path):
    folder = tmp_path / "a"
    (folder / "claim.md").mkdir(parents=True)
    with pytest.raises(InputError, match=r"claim\.md is a directory"):
        measure(name, folder, config)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="/link cannot be written"):
        measure(name, tmp_path / "link", config)
    assert not seen


def test_a_directory_has_one_claim(config, seen, tmp_path):
    folder = tmp_path / "a"
    written({"section": "3.5"}, folder, config)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("claim-attention-scale", "claim-label-smoothing"):
        with pytest.raises(InputError, match=r"has the claim of section 3\.5"):
            measure(name, folder, config)
    with pytest.raises(TrainedError):  # The same goes on.
        measure("claim-trained-lengths", folder, config)
    for name, contents in before.items():
        assert (folder / name).read_bytes() == contents
    for damaged in (b"", b"[]", b"\xff", b"[" * 100_000):
        (folder / "claim.json").write_bytes(damaged)
        with pytest.raises(TrainedError):
            measure("claim-label-smoothing", folder, config)


def test_the_same_numbers_are_the_same_files(config, tmp_path):
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        written({"section": "3.5"}, folder, config)
    for name in ("claim.json", "claim.md", "claim.svg"):
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other


def test_a_number_that_is_none_decides_nothing(config, tmp_path):
    rows = [{"x": 1, "y": float("nan")}]
    found = written({"section": "3.5", "rows": rows}, tmp_path, config)
    assert found["holds"] is None
    assert json.loads((tmp_path / "claim.json").read_text())["holds"] is None


def test_smoothing_is_judged_on_the_text_and_search_asked_for(
    config, tmp_path, monkeypatch
):
    """The runs may be older, and have others."""
    asked = []

    def evaluate(folder, *, pairs, progress, **decoding):
        asked.append((list(pairs), decoding["beam_size"]))
        scores = {"perplexity": 2.0, "bleu": 30.0, "bleu_signature": "s"}
        texts = ["a b c d e"] * len(pairs)
        return EvaluationResult(scores, texts, texts, texts)

    def train_variants(variants, workdir, **_):
        return ((name, None) for name in variants)

    monkeypatch.setattr(label_smoothing, "evaluate", evaluate)
    monkeypatch.setattr(label_smoothing, "train_variants", train_variants)
    for path in (config.data.validation_source_path, config.data.train_source_path):
        target = path.replace("source", "target")
        other = change(
            config,
            data__validation_source_path=path,
            data__validation_target_path=target,
            decoding__beam_size=1 + len(asked),
        )
        found = measure("claim-label-smoothing", tmp_path / "a", other)
        lines = [Path(each).read_text().splitlines() for each in (path, target)]
        pairs = list(zip(*lines, strict=True))
        assert asked[-3:] == [(pairs, other.decoding.beam_size)] * 3
        assert found["num_sentences"] == len(pairs)
        assert found["beam_size"] == other.decoding.beam_size
