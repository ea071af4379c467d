"""Each setting has its type and its limits; a refusal says what it may be."""

import math
import typing

import pytest

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import (
    DataConfig,
    MeshConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainingConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError

SECTIONS = {
    "model": ModelConfig, "tokenizer": TokenizerConfig, "data": DataConfig,
    "optimizer": OptimizerConfig, "training": TrainingConfig,
    "decoding": DecodingConfig, "mesh": MeshConfig,
}  # fmt: skip
MINIMUMS = {
    "model": {
        "vocab_size": 1, "num_encoder_layers": 1, "num_decoder_layers": 1,
        "d_model": 1, "d_ff": 1, "num_heads": 1, "d_k": 1, "d_v": 1, "max_length": 1,
        "target_vocab_size": 1, "attention_window": 1, "scan_unroll": 1,
    },
    "tokenizer": {"max_sentences": 1},
    "data": {"source_length": 2, "target_length": 2, "prefetch_batches": 1},
    "optimizer": {"warmup_steps": 1, "cooldown_steps": 1},
    "training": {
        "num_steps": 1, "seed": 0, "accumulation_steps": 1, "loss_slice_tokens": 1,
        "log_every_steps": 1, "evaluate_every_steps": 1, "validation_bleu_sentences": 0,
        "checkpoint_every_steps": 1, "keep_last": 1, "keep_best": 0,
        "max_skipped_steps": 1,
    },
    "decoding": {
        "beam_size": 1, "length_penalty_alpha": 0, "max_extra_length": 1,
        "batch_tokens": 1,
    },
    "mesh": {"data": 1, "fsdp": 1, "tensor": 1},
}  # fmt: skip


def or_none(section, name) -> str:
    """What a message says beside the limit where a setting may be switched off."""
    hint = typing.get_type_hints(SECTIONS[section])[name]
    return ", or none" if type(None) in typing.get_args(hint) else ""


def refusal(kind, **settings):
    with pytest.raises(InputError) as caught:
        kind(**settings)
    return str(caught.value)


@pytest.mark.parametrize("section", SECTIONS)
def test_numbers_are_finite(section):
    for name, hint in typing.get_type_hints(SECTIONS[section]).items():
        if hint is float or float in typing.get_args(hint):
            for value in (math.inf, math.nan):
                line = refusal(SECTIONS[section], **{name: value})
                assert line.startswith(f"{section}.{name}={value} must be ")


def test_numbers_that_jax_would_cut_off_are_refused():
    limits = {"seed": 2**32 - 1, "num_steps": 2**31 - 1}
    for name, most in limits.items():
        assert getattr(TrainingConfig(**{name: most}), name) == most
        assert refusal(TrainingConfig, **{name: most + 1}) == (
            f"training.{name}={most + 1} must be at most {most}."
        )
    assert "decoding.seed=" in refusal(DecodingConfig, seed=2**32)


@pytest.mark.parametrize("section", MINIMUMS)
def test_values_below_a_minimum_are_refused(section):
    for name, minimum in MINIMUMS[section].items():
        below = minimum - 1
        assert refusal(SECTIONS[section], **{name: below}) == (
            f"{section}.{name}={below} must be at least {minimum}"
            f"{or_none(section, name)}."
        )


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("model", "dropout_rate"),
        ("model", "attention_dropout_rate"),
        ("model", "activation_dropout_rate"),
        ("optimizer", "beta1"),
        ("optimizer", "beta2"),
        ("training", "label_smoothing"),
        ("training", "ema_decay"),
    ],
)
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_rates_outside_0_to_1_are_refused(section, name, value):
    message = refusal(SECTIONS[section], **{name: value})
    limit = "in [0, 1)" + or_none(section, name)
    assert message == f"{section}.{name}={value} must be {limit}."


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("optimizer", "learning_rate_scale"),
        ("optimizer", "epsilon"),
        ("optimizer", "max_gradient_norm"),
        ("training", "checkpoint_every_minutes"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_values_that_are_not_positive_are_refused(section, name, value):
    message = refusal(SECTIONS[section], **{name: value})
    limit = "positive" + or_none(section, name)
    assert message == f"{section}.{name}={value} must be {limit}."


@pytest.mark.parametrize(
    ("section", "settings", "expected"),
    [
        # Without a check these would quietly mean post-norm and a learned table.
        ("model", {"norm": "Pre"}, "model.norm='Pre' must be one of 'post', 'pre'."),
        (
            "model",
            {"positions": "sinusoid"},
            "model.positions='sinusoid' must be one of 'sinusoidal', 'learned'.",
        ),
        ("model", {"d_model": 512.0}, "model.d_model=512.0 must be an integer."),
        (
            "model",
            {"d_k": "64"},
            "model.d_k='64' must be an integer or left out (off).",
        ),
        ("tokenizer", {"shared": 1}, "tokenizer.shared=1 must be true or false."),
        ("data", {"train_split": None}, "data.train_split=None must be a string."),
        ("optimizer", {"beta1": True}, "optimizer.beta1=True must be a number."),
        (
            "training",
            {"prng": "rgb"},
            "training.prng='rgb' must be one of 'murmur', 'threefry2x32', 'rbg', "
            "'unsafe_rbg'.",
        ),
        (
            "decoding",
            {"beam_size": None},
            "decoding.beam_size=None must be an integer.",
        ),
        (
            "mesh",
            {"tensor": 1.5},
            "mesh.tensor=1.5 must be an integer or left out (off).",
        ),
    ],
)
def test_values_of_another_type_are_refused_from_python_too(
    section, settings, expected
):
    assert refusal(SECTIONS[section], **settings) == expected
