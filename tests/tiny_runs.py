"""Tiny runs to test with: sentences, settings, and one trained model for all tests."""

import dataclasses
import fcntl
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from shared_folder import SHARED

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import (
    DataConfig,
    ExperimentConfig,
    OptimizerConfig,
    TrainingConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.training.train import TrainResult, train

WORDS = [consonant + vowel for consonant in "bdkm" for vowel in "aeiou"]
VOCAB_SIZE = 300  # 4 special ids, 256 bytes, the letters, and every word.


def reversed_pairs(number: int, seed: int = 0, longest: int = 7) -> list:
    """Sentences of words, each with its words in reverse order."""
    rng = np.random.default_rng(seed)
    sentences = [
        rng.choice(WORDS, rng.integers(1, longest + 1)).tolist() for _ in range(number)
    ]
    return [(" ".join(s), " ".join(reversed(s))) for s in sentences]


def tiny_config(**changes) -> ExperimentConfig:
    """Settings of a tiny run; changes are written `section__field=value`."""
    config = ExperimentConfig(
        # One body of a layer compiles sooner than two.
        model=ModelConfig.tiny(vocab_size=VOCAB_SIZE, scan_unroll=1),
        data=DataConfig(
            source_length=24, target_length=24, batch_tokens=8 * 24, prefetch_batches=4
        ),
        optimizer=OptimizerConfig(warmup_steps=40, learning_rate_scale=0.5),
        training=TrainingConfig(
            num_steps=4,
            log_every_steps=1,
            evaluate_every_steps=1_000,
            validation_bleu_sentences=0,
            best_metric="loss",
        ),
        decoding=DecodingConfig(batch_tokens=128),
    )
    fields: dict = {}
    for name, value in changes.items():
        section, field = name.split("__")
        fields.setdefault(section, {})[field] = value
    return config.replace(
        **{
            section: dataclasses.replace(getattr(config, section), **values)
            for section, values in fields.items()
        }
    )


def one_layer_config(**changes) -> ExperimentConfig:
    """Settings of a step that compiles in seconds."""
    layers = {"model__num_encoder_layers": 1, "model__num_decoder_layers": 1}
    return tiny_config(**{**layers, **changes})


def shared_run(
    name: str, run: Callable[[Path], TrainResult]
) -> tuple[Path, TrainResult]:
    """Returns a work directory and its run, which another process may have trained."""
    with (SHARED / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return SHARED / name, run(SHARED / name)


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run of 36 updates, its work directory, and the pairs it was validated on."""

    workdir: Path
    config: ExperimentConfig
    result: TrainResult
    train_pairs: list
    validation_pairs: list


@functools.cache
def trained_run() -> TrainedRun:
    """The run that tests share and only read; trained when first asked for."""
    config = tiny_config(
        training__num_steps=36,
        training__log_every_steps=6,
        training__evaluate_every_steps=12,
        training__checkpoint_every_steps=9,
        training__validation_bleu_sentences=6,
        training__keep_last=3,
    )
    pairs = reversed_pairs(230)
    workdir, result = shared_run(
        "trained",
        lambda workdir: train(
            config,
            workdir,
            train_pairs=pairs[:200],
            validation_pairs=pairs[200:],
            progress=False,
        ),
    )
    return TrainedRun(workdir, config, result, pairs[:200], pairs[200:])


@functools.cache
def reversing_run() -> tuple[Path, TrainResult]:
    """A run that has learnt to reverse sentences it has never seen."""
    config = tiny_config(
        model__d_model=64,
        model__d_ff=128,
        model__num_encoder_layers=1,
        model__num_decoder_layers=1,
        model__dropout_rate=0.0,
        data__batch_tokens=32 * 24,
        optimizer__warmup_steps=200,
        optimizer__learning_rate_scale=1.0,
        optimizer__cooldown_steps=200,
        training__num_steps=500,
        training__log_every_steps=100,
        decoding__batch_tokens=1024,
    )
    pairs = reversed_pairs(5_000)
    return shared_run(
        "reversing",
        lambda workdir: train(config, workdir, train_pairs=pairs, progress=False),
    )
