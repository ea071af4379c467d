"""Defaults are the paper's; settings that exclude each other are refused."""

import dataclasses
import re

import pytest

from transformer_jax.config.experiment import (
    DataConfig,
    ExperimentConfig,
    MeshConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainingConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError


def test_defaults_are_the_base_model_of_the_paper():
    config = ExperimentConfig()
    model = config.model
    assert (model.num_encoder_layers, model.num_decoder_layers) == (6, 6)
    assert (model.d_model, model.d_ff, model.num_heads) == (512, 2048, 8)
    assert (model.key_size, model.value_size) == (64, 64)
    assert (model.norm, model.activation, model.positions) == (
        "post", "relu", "sinusoidal"
    )  # fmt: skip
    assert model.share_embeddings == "all"
    assert (model.dropout_rate, config.training.label_smoothing) == (0.1, 0.1)
    assert model.attention_dropout_rate == model.activation_dropout_rate == 0.0
    assert config.training.num_steps == 100_000
    optimizer = config.optimizer
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.9, 0.98, 1e-9)
    assert (optimizer.warmup_steps, optimizer.learning_rate_scale) == (4_000, 1.0)
    decoding = config.decoding
    assert (decoding.beam_size, decoding.length_penalty_alpha) == (4, 0.6)
    assert (decoding.length_penalty, decoding.max_extra_length) == ("gnmt", 50)
    # About 25,000 tokens a side.
    assert config.data.rows * config.data.target_length == 24_576


def test_big_is_the_big_model_of_the_paper_and_takes_changes():
    big = ModelConfig.big(dropout_rate=0.1)
    assert (big.d_model, big.d_ff, big.num_heads, big.key_size) == (1024, 4096, 16, 64)
    assert (ModelConfig.big().dropout_rate, big.dropout_rate) == (0.3, 0.1)


def test_d_k_and_d_v_are_independent_of_each_other_and_of_d_model():
    config = ModelConfig(d_model=100, num_heads=3, d_k=16, d_v=7)
    assert (config.key_size, config.value_size) == (16, 7)
    assert ModelConfig(d_k=16).value_size == 64


def test_configurations_are_frozen_hashable_and_equal_by_value():
    first, second = ExperimentConfig(), ExperimentConfig()
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.model.d_model = 3
    changed = first.replace(mesh=MeshConfig(tensor=2))
    assert (changed.mesh.tensor, first.mesh.tensor) == (2, None)
    with pytest.raises(InputError, match="target_vocab_size"):
        first.replace(model=ModelConfig(target_vocab_size=5, share_embeddings="target"))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (
            ModelConfig,
            {"d_model": 513, "num_heads": 1},
            "model.d_model=513 must be even for sinusoidal positions.",
        ),
        (
            ModelConfig,
            {"num_heads": 3, "d_k": 16},
            "model.num_heads=3 must divide model.d_model=512, "
            "or set model.d_k and model.d_v.",
        ),
        (
            ModelConfig,
            {"target_vocab_size": 5},
            "model.share_embeddings='all' needs one vocabulary, but "
            "model.target_vocab_size=5 is not model.vocab_size=37000: "
            "use 'target' or 'none'.",
        ),
        (
            TokenizerConfig,
            {"character_coverage": 0.5},
            "tokenizer.character_coverage=0.5 must be in [0.98, 1].",
        ),
        (
            DataConfig,
            {"batch_tokens": 255},
            "data.batch_tokens=255 must be at least one row, data.target_length=256.",
        ),
        (
            DataConfig,
            {"test_source_path": "a"},
            "data.test_target_path is missing: both sides of the test pairs "
            "must be named.",
        ),
        (
            DataConfig,
            {"validation_target_path": "a"},
            "data.validation_source_path is missing: both sides of the validation "
            "pairs must be named.",
        ),
        (
            DataConfig,
            {"dataset": "d", "train_source_path": "a", "train_target_path": "b"},
            "data.dataset='d' and data.train_source_path='a' exclude each other: "
            "keep one.",
        ),
        (
            TrainingConfig,
            {"validation_bleu_sentences": 0, "best_metric": "bleu"},
            "training.best_metric='bleu' needs translations: set it to 'loss', or "
            "training.validation_bleu_sentences above 0.",
        ),
        (
            TrainingConfig,
            {"validation_bleu_sentences": 0, "best_metric": "chrf"},
            "training.best_metric='chrf' needs translations: set it to 'loss', or "
            "training.validation_bleu_sentences above 0.",
        ),
        (
            ExperimentConfig,
            {"model": ModelConfig(target_vocab_size=5, share_embeddings="none")},
            "model.target_vocab_size=5 needs tokenizer.shared=false.",
        ),
        (
            ExperimentConfig,
            {"tokenizer": TokenizerConfig(shared=False)},
            "tokenizer.shared=false needs model.share_embeddings='target' or 'none', "
            "not 'all': the rows of one matrix would mean two things.",
        ),
        (
            ExperimentConfig,
            {
                "optimizer": OptimizerConfig(cooldown_steps=6),
                "training": TrainingConfig(num_steps=5),
            },
            "optimizer.cooldown_steps=6 must be at most training.num_steps=5.",
        ),
        (
            ExperimentConfig,
            {"model": ModelConfig(positions="learned", max_length=255)},
            "model.max_length=255 must be at least 256, the longer of "
            "data.source_length and data.target_length.",
        ),
    ],
)
def test_impossible_combinations_are_refused(kind, settings, message):
    with pytest.raises(InputError) as caught:
        kind(**settings)
    assert str(caught.value) == message


def test_sections_are_of_their_classes():
    expected = "model={} must be a ModelConfig."
    with pytest.raises(InputError, match=re.escape(expected)):
        ExperimentConfig(model={})
    with pytest.raises(InputError, match="mesh=None must be a MeshConfig"):
        ExperimentConfig().replace(mesh=None)
