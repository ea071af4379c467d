"""The sentence pairs that the settings name."""

import contextlib
from collections.abc import Iterator
from typing import Literal, overload

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.data.corpora import load_corpora
from transformer_jax.data.sentence_pairs import SentencePairs, from_files
from transformer_jax.data.tfds_pairs import from_tfds
from transformer_jax.data.tree_pairs import load_tree_pairs
from transformer_jax.errors import InputError


@overload
def load_pairs(config: DataConfig, split: Literal["train"]) -> SentencePairs: ...
@overload
def load_pairs(
    config: DataConfig, split: Literal["train", "validation", "test"]
) -> SentencePairs | None: ...
def load_pairs(
    config: DataConfig, split: Literal["train", "validation", "test"]
) -> SentencePairs | None:
    """Returns the pairs that the settings name for a split.

    If files are named for the split, they are used, otherwise the data set. The result
    is None if validation or test pairs are named by neither. Several corpora follow
    each other, each pair with the tag of its corpus.

    Raises:
        InputError: no training pairs are named, or files or data set cannot be used.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("train.en").write_text("A house.\\nA dog.\\n")
        >>> _ = Path("train.de").write_text("Ein Haus.\\nEin Hund.\\n")
        >>> paths = {"train_source_path": "train.en", "train_target_path": "train.de"}
        >>> list(tj.load_pairs(tj.DataConfig(**paths), "train"))
        [('A house.', 'Ein Haus.'), ('A dog.', 'Ein Hund.')]
    """
    require_config(config, DataConfig)
    if split not in ("train", "validation", "test"):
        raise InputError(f"split={split!r} must be train, validation or test.")
    sources, targets = config.files(split)
    if sources:
        with _prefix_messages(f"data.{split}_source_path, data.{split}_target_path: "):
            return from_files(sources, targets)
    if config.corpora:
        return load_corpora(config, split, load_pairs)
    if config.dataset is not None:
        with _prefix_messages("data."):
            return from_tfds(
                config.dataset,
                getattr(config, f"{split}_split"),
                source_language=config.source_language,
                target_language=config.target_language,
                data_dir=config.data_dir,
            )
    if split == "train":
        raise InputError(
            "data.dataset and data.train_source_path are both missing: name a TFDS "
            "data set, as cldr_translate/en_de, or the files of the training pairs, or "
            "several of them in tables [[data.corpora]]."
        )
    return None


def load_split(
    config: ExperimentConfig, split: Literal["train", "validation", "test"]
) -> SentencePairs | None:
    """Returns the pairs of a split: of sentences, or of sentences and their trees.

    Raises:
        InputError: as `load_pairs`, or a tree is damaged.
    """
    if config.treebank.is_used:
        return load_tree_pairs(config.treebank, split)
    return load_pairs(config.data, split)


@contextlib.contextmanager
def _prefix_messages(prefix: str) -> Iterator[None]:
    """Puts the name of the setting before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error
