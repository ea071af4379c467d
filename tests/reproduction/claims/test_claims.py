"""What the text of the paper claims, on tiny models: what is trained and compared."""

import dataclasses
import json
import math

import numpy as np
import pytest
from tiny_runs import reversed_pairs, tiny_config

import transformer_jax as tj
from transformer_jax.errors import InputError
from transformer_jax.reproduction.claims import attention_scale
from transformer_jax.reproduction.claims import variants as trained
from transformer_jax.reproduction.claims.trained_lengths import _mean_losses


@pytest.fixture
def config(tmp_path):
    paths = {}
    pairs = reversed_pairs(80, longest=10)
    for split, part in {"train": pairs[:50], "validation": pairs[50:]}.items():
        for number, side in enumerate(("source", "target")):
            path = tmp_path / f"{split}.{side}"
            path.write_text("".join(f"{pair[number]}\n" for pair in part))
            paths[f"data__{split}_{side}_path"] = str(path)
    return tiny_config(
        **paths,
        model__num_encoder_layers=1,
        model__num_decoder_layers=1,
        training__num_steps=3,
        data__source_length=14,
        data__target_length=14,
        data__batch_tokens=8 * 14,
        mesh__data=1,  # One device compiles sooner.
    )


@pytest.fixture
def seen(monkeypatch):
    """The settings of every variant that is trained, by name."""
    settings = {}
    original = trained.train

    def train(config, folder, **named):
        settings[folder.name] = config
        return original(config, folder, **named)

    monkeypatch.setattr(trained, "train", train)
    return settings


@pytest.mark.long
def test_the_scale_of_attention(config, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(attention_scale, "D_K", (8, 128))
    found = tj.measure_claim(
        "claim-attention-scale", tmp_path / "claim", config=config, progress=False
    )
    assert len(seen) == 4
    for name, variant in seen.items():
        d_k, scaled = name.removeprefix("d_k_").split("_")
        assert variant.model.key_size == int(d_k)
        assert variant.model.attention_scale == (None if scaled == "scaled" else 1.0)
    losses = {(row["d_k"], row["scaled"]): row["nll"] for row in found["rows"]}
    small, large = (losses[d_k, False] - losses[d_k, True] for d_k in (8, 128))
    assert found["holds"] == (large > 0 and large > small)
    assert all(0 <= row["entropy_cross"] < math.log(20) for row in found["rows"])
    folder = tmp_path / "claim"
    assert json.loads((folder / "claim.json").read_text()) == found
    page = (folder / "claim.md").read_text()
    assert found["verdict"] in page
    assert page.count("\n| ") == 1 + 4
    assert (folder / "claim.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.long
def test_positions_beyond_those_of_training(config, seen, tmp_path):
    found = tj.measure_claim(
        "claim-trained-lengths", tmp_path / "claim", config=config, progress=False
    )
    short, table_short, table_long = seen.values()
    assert short.data.target_length == table_short.data.target_length == 7
    assert table_long.data.target_length == 14
    kinds = [one.model.positions for one in (short, table_short, table_long)]
    assert kinds == ["sinusoidal", "learned", "learned"]
    assert found["trained_length"] == 7
    for row in found["rows"]:
        assert row["trained"] == (row["position"] < 7)


def test_bins_are_means_of_their_positions():
    losses = np.arange(16.0)
    counts = np.full(16, 2)
    counts[12:] = 0
    found = _mean_losses(np.stack([losses * counts, counts]), 8, 16)
    middles = [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]
    assert found == [(middle, middle, middle < 8) for middle in middles]


@pytest.mark.long
def test_label_smoothing(config, seen, tmp_path):
    found = tj.measure_claim(
        "claim-label-smoothing", tmp_path / "claim", config=config, progress=False
    )
    rates = [variant.training.label_smoothing for variant in seen.values()]
    assert rates == [0.0, 0.1, 0.2] == [row["label_smoothing"] for row in found["rows"]]
    result = tj.evaluate(
        tmp_path / "claim/epsilon_0.1", split="validation", progress=False
    )
    assert found["rows"][1]["bleu"] == result.scores["bleu"]
    assert found["rows"][1]["perplexity"] == result.scores["perplexity"]


@pytest.mark.long
def test_it_goes_on_where_it_was_interrupted(config, tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    original, calls = trained.train, []

    def stop_at_second(config, folder, **named):
        calls.append(folder.name)
        if len(calls) == 2:
            raise StoppedError
        return original(config, folder, **named)

    monkeypatch.setattr(trained, "train", stop_at_second)
    arguments = {"config": config, "progress": False}
    with pytest.raises(StoppedError):
        tj.measure_claim("claim-label-smoothing", tmp_path / "claim", **arguments)
    before = tj.read_metrics(tmp_path / "claim/epsilon_0.0")
    tj.measure_claim("claim-label-smoothing", tmp_path / "claim", **arguments)
    assert tj.read_metrics(tmp_path / "claim/epsilon_0.0") == before


def test_what_cannot_be_measured_is_refused(config, tmp_path):
    with pytest.raises(InputError, match="did you mean claim-label-smoothing"):
        tj.measure_claim("claim-label-smoothin", tmp_path)
    sizes = {"source_length": 60, "target_length": 60, "batch_tokens": 480}
    longer = config.replace(data=dataclasses.replace(config.data, **sizes))
    with pytest.raises(InputError, match="validation pairs have more than 30"):
        tj.measure_claim(
            "claim-trained-lengths", tmp_path / "a", config=longer, progress=False
        )
    assert not [*(tmp_path / "a").glob("*/checkpoints")]  # Nothing was trained.
