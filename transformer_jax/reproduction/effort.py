"""What a run has cost: tokens, operations, hours; and what it ran on."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import jax

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_dict
from transformer_jax.cost.model_flops import training_flops
from transformer_jax.model.size import parameter_counts
from transformer_jax.version import VERSION

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "sentencepiece", "sacrebleu")


def effort(
    config: ExperimentConfig, history: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns parameters, tokens seen, operations by the model's formula, and hours.

    Hours are those of the updates, without the start, validation and checkpoints.

    Args:
        history: lines of `metrics.jsonl`.
    """
    source = target = seconds = 0.0
    before = 0
    for line in history:
        if line["kind"] != "train":
            continue
        spent = (line["step"] - before) * line["step_seconds"]
        before = line["step"]
        source += spent * line["source_tokens_per_second"]
        target += spent * line["target_tokens_per_second"]
        seconds += spent
    return {
        "num_parameters": sum(parameter_counts(config.model).values()),
        "num_updates": before,
        "source_tokens": round(source),
        "target_tokens": round(target),
        "training_flops": training_flops(config.model, round(source), round(target)),
        "training_hours": seconds / 3600,
    }


def surroundings(config: ExperimentConfig) -> dict[str, Any]:
    """Returns hardware, versions, and a digest of the settings."""
    devices = jax.devices()
    text = json.dumps(config_to_dict(config), sort_keys=True)
    return {
        "hardware": f"{len(devices)} x {_kind(devices[0])}",
        "versions": {
            "transformer_jax": VERSION,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _PACKAGES},
        },
        "config_digest": hashlib.sha256(text.encode()).hexdigest(),
        "seed": config.training.seed,
    }


def _kind(device: jax.Device) -> str:
    if device.platform == "cpu":
        return f"{platform.machine()} CPU"
    return str(device.device_kind)
