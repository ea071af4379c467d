"""Runs of one experiment that differ in a few settings."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.corpus_files import check_usable
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.data.source import load_split
from transformer_jax.errors import InputError
from transformer_jax.reproduction.same_run import check_same_run
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.training.train import train
from transformer_jax.translation.translator import Translator

logger = logging.getLogger(__name__)


def change(config: ExperimentConfig, **fields: Any) -> ExperimentConfig:
    """Returns the settings with changes such as `model__d_k=8`."""
    for name, value in fields.items():
        section, field = name.split("__")
        changed = replace(getattr(config, section), **{field: value})
        config = config.replace(**{section: changed})
    return config


def train_variants(
    variants: Mapping[str, ExperimentConfig],
    workdir: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> Iterator[tuple[str, Translator]]:
    """Yields the name and the trained model of each variant, in `workdir/<name>`.

    What is trained already is loaded, and an interrupted variant goes on.

    Raises:
        InputError: as `train`; or a variant was begun with other settings, which is
            known before any is trained.
    """
    folders = {name: work_directory(workdir) / name for name in variants}
    for name, config in variants.items():
        check_same_run(config, folders[name])
    for number, (name, config) in enumerate(variants.items(), start=1):
        logger.info("%s: variant %d of %d", name, number, len(variants))
        yield name, train(config, folders[name], progress=progress).translator


def validation_pairs(config: ExperimentConfig) -> SentencePairs:
    """Returns the pairs that variants are compared on.

    Raises:
        InputError: the settings name none, or none has text on both sides.
    """
    pairs = load_split(config, "validation")
    if pairs is None:
        raise InputError(
            "variants are compared on the validation pairs: set "
            "data.validation_source_path and data.validation_target_path."
        )
    check_usable(pairs)
    return pairs
