"""The settings of a target: as in the paper, or a part of its updates and sizes."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import (
    config_to_dict,
    differences,
    differing_values,
    load_config,
)
from transformer_jax.errors import InputError
from transformer_jax.reproduction.targets import Target
from transformer_jax.storage.path_names import readable_name

# What may differ in a full run: where things are, how they are computed and shown.
OF_NO_WEIGHT = (
    *("data.dataset", "data.data_dir", "data.prefetch_batches"),
    *(
        f"data.{split}_{side}_path"
        for split in ("train", "validation", "test")
        for side in ("source", "target")
    ),
    *("treebank.train_paths", "treebank.validation_paths", "treebank.test_paths"),
    *("mesh.data", "mesh.fsdp", "mesh.tensor"),
    *("model.scan_unroll", "model.remat", "model.attention_kernel"),
    *("model.compute_dtype", "decoding.compute_dtype", "decoding.batch_tokens"),
    *("training.seed", "training.accumulation_steps", "training.loss_slice_tokens"),
    *("training.log_every_steps", "training.evaluate_every_steps"),
    *("training.validation_bleu_sentences", "training.best_metric"),
    *("training.keep_best", "training.if_save_fails", "training.stall_minutes"),
    "training.max_rollbacks",
)

# Section, setting, and the part of `Scale` that it is multiplied by.
_SCALED = (
    ("training", "num_steps", "updates"),
    ("training", "checkpoint_every_steps", "updates"),
    ("optimizer", "warmup_steps", "updates"),
    ("model", "d_model", "width"),
    ("model", "d_ff", "width"),
    ("model", "d_k", "width"),
    ("model", "d_v", "width"),
    ("model", "num_encoder_layers", "depth"),
    ("model", "num_decoder_layers", "depth"),
)

_OF_CHECKPOINTS = "training.checkpoint_every_steps", "training.keep_last"
_CHECKPOINTS_OF_A_ROW = 20
_EVALUATED = 3  # Each third checkpoint.


@dataclass(frozen=True)
class Scale:
    """How much of a full run is made."""

    updates: float = 1.0
    """Part of the updates, of warm-up, and of the updates between checkpoints. The
    learning rate is the paper's, gone through so much faster."""
    width: float = 1.0
    """Part of d_model, d_ff, d_k and d_v."""
    depth: float = 1.0
    """Part of the layers."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            flag = "scale" if name == "updates" else f"{name}_scale"
            if not 0 < value <= 1:
                raise InputError(f"{flag}={value} must be more than 0 and at most 1.")

    def __str__(self) -> str:
        """Returns what it says in a heading, nothing for a full run."""
        parts = [
            f"{value:g} of the {name}"
            for name, value in dataclasses.asdict(self).items()
            if value != 1
        ]
        return " and ".join(parts)


def target_settings(target: Target) -> ExperimentConfig:
    """Returns the settings of a full run.

    Checkpoints are as many updates apart as the authors made in 10 minutes, so that
    their average is the same on any hardware. The validation, which saves one too,
    comes at some of them.
    """
    config = load_config(target.config)
    training = dataclasses.replace(
        config.training,
        checkpoint_every_steps=target.checkpoint_steps,
        evaluate_every_steps=_EVALUATED * target.checkpoint_steps,
        checkpoint_every_minutes=None,
        keep_last=max(target.num_averaged, 2),
    )
    return config.replace(training=training)


def scale_settings(
    settings: ExperimentConfig, target: Target, scale: Scale
) -> ExperimentConfig:
    """Returns the settings of a part of a run.

    Settings that differ from those of the full run were chosen, and stay.

    Raises:
        InputError: a scale leaves a size that cannot be.
    """
    values = _scaled_values(config_to_dict(settings), target, scale)
    try:
        return settings.replace(
            **{
                section: dataclasses.replace(
                    getattr(settings, section), **values[section]
                )
                for section in ("model", "optimizer", "training")
            }
        )
    except InputError as error:
        raise InputError(f"at {scale}: {error}") from error


def _scaled_values(
    given: Mapping[str, Mapping[str, Any]], target: Target, scale: Scale
) -> dict[str, dict[str, Any]]:
    """Returns the values of settings at a scale, which may be none that can be."""
    whole = config_to_dict(target_settings(target))
    values = {section: {**fields} for section, fields in given.items()}
    for section, field, by in _SCALED:
        full = whole[section][field]
        if full is not None and values[section][field] == full:
            values[section][field] = max(1, round(full * getattr(scale, by)))
    if all(
        given["optimizer"][field] == whole["optimizer"][field]
        for field in ("warmup_steps", "learning_rate_scale")
    ):
        # A shorter warm-up alone would end higher, where the paper's never came.
        values["optimizer"]["learning_rate_scale"] *= math.sqrt(scale.updates)
    _set_intervals(values["training"], given["training"], whole["training"], target)
    return values


def _set_intervals(
    training: dict[str, Any],
    given: Mapping[str, Any],
    whole: Mapping[str, Any],
    target: Target,
) -> None:
    """Sets the updates between checkpoints and validations that were not chosen.

    Args:
        training: the scaled settings, which are changed.
        given: before they were scaled.
        whole: those of the full run.
    """
    checkpoints, validations = "checkpoint_every_steps", "evaluate_every_steps"
    if target.num_averaged == 1 and given[checkpoints] == whole[checkpoints]:
        # Only the last is scored: few are enough to go on from.
        least = training["num_steps"] // _CHECKPOINTS_OF_A_ROW
        if training[checkpoints] != whole[checkpoints]:
            training[checkpoints] = max(training[checkpoints], least)
    if given[validations] == whole[validations] and training[checkpoints]:
        training[validations] = _EVALUATED * training[checkpoints]


def changes(settings: ExperimentConfig, target: Target) -> list[str]:
    """Returns what differs from a full run, as `section.field: old -> new`."""
    found = differences(target_settings(target), settings)
    return [line for line in found if line.split(":")[0] not in OF_NO_WEIGHT]


def chosen_settings(
    settings: ExperimentConfig, target: Target, scale: Scale
) -> dict[str, str]:
    """Returns the settings that differ from those of the scaled target, by name.

    Two rows of a table may be compared if they are equal. How often a checkpoint is
    written counts where several are averaged.
    """
    # As values: where every size was chosen, the scaled ones need not be possible.
    whole = config_to_dict(target_settings(target))
    scaled = _scaled_values(whole, target, scale)
    found = {}
    for line in differing_values(scaled, config_to_dict(settings)):
        name, _, values = line.partition(": ")
        if name in _OF_CHECKPOINTS and target.num_averaged == 1:
            continue
        if name not in OF_NO_WEIGHT:
            found[name] = values.rpartition(" -> ")[2]
    return found


def data_of(settings: ExperimentConfig) -> str:
    """Returns where the text of a run comes from, for people."""
    if settings.treebank.is_used:
        return readable_name(", ".join(settings.treebank.train_paths))
    if settings.data.dataset:
        return settings.data.dataset
    if not settings.data.files("train")[0]:
        return ", ".join(settings.data.corpus_names)
    return readable_name(" and ".join(map(", ".join, settings.data.files("train"))))
