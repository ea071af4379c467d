"""The data of a work directory: tokenizer and corpora, made once, then loaded."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.corpus_copy import fetch_corpus, store_corpus
from transformer_jax.data.corpus_files import MANIFEST, load_corpus, write_corpus
from transformer_jax.data.sentence_pairs import SentencePairs, from_list
from transformer_jax.data.source import load_pairs
from transformer_jax.storage.work_directory import (
    StoredPath,
    create_directory,
    is_remote,
    local_cache,
    remove_if_empty,
    work_directory,
)
from transformer_jax.tokenizer.tokenizer import (
    SHARED_FILE,
    SOURCE_FILE,
    Tokenizer,
    check_vocabulary,
    load_tokenizer,
    train_tokenizer,
)

Split = Literal["train", "validation", "test"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedData:
    """The data of a run."""

    tokenizer: Tokenizer
    train: Corpus
    validation: Corpus | None
    validation_pairs: SentencePairs | None


def prepare(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    train_pairs: Sequence[tuple[str, str]] | None = None,
    validation_pairs: Sequence[tuple[str, str]] | None = None,
) -> PreparedData:
    """Returns tokenizer and corpora of a work directory; makes those that are missing.

    The tokenizer is learnt from the training text only, and never again in a directory
    that has one. A corpus is made again if its text or tokenizer has changed.

    Args:
        train_pairs: (source, target) sentences in place of those `config.data` names.
        validation_pairs: likewise.

    Raises:
        InputError: the text, its format or the vocabulary is refused.

    Example:
        >>> data = tj.prepare(config, "runs/prepared", train_pairs=pairs)
        >>> data.train.num_pairs == len(pairs), data.validation
        (True, None)
    """
    folder = work_directory(workdir)
    train = _choose_pairs(config.data, "train", train_pairs)
    assert train is not None  # load_pairs refuses a configuration without any
    from_python = train_pairs is not None
    validation = (
        None
        if from_python and validation_pairs is None
        else _choose_pairs(config.data, "validation", validation_pairs)
    )
    with remove_if_empty(folder):
        create_directory(folder)
        tokenizer = _load_or_train_tokenizer(config, folder, train)
    corpus_dir = folder / "corpus"
    return PreparedData(
        tokenizer=tokenizer,
        train=_load_or_write_corpus(train, tokenizer, corpus_dir / "train"),
        validation=None
        if validation is None
        else _load_or_write_corpus(validation, tokenizer, corpus_dir / "validation"),
        validation_pairs=validation,
    )


def _choose_pairs(
    config: DataConfig, split: Split, given: Sequence[tuple[str, str]] | None
) -> SentencePairs | None:
    if given is not None:
        return from_list(given, name=f"{split} pairs")
    return load_pairs(config, split)


def _load_or_train_tokenizer(
    config: ExperimentConfig, workdir: StoredPath, pairs: SentencePairs
) -> Tokenizer:
    if any((workdir / name).exists() for name in (SHARED_FILE, SOURCE_FILE)):
        tokenizer = load_tokenizer(workdir)
        check_vocabulary(tokenizer, config.model)
        return tokenizer
    logger.info(
        "learning a vocabulary of %d from %s", config.model.vocab_size, pairs.name
    )
    tokenizer = train_tokenizer(pairs, config.tokenizer, config.model)
    tokenizer.save(workdir)
    return tokenizer


def _load_or_write_corpus(
    pairs: SentencePairs, tokenizer: Tokenizer, directory: StoredPath
) -> Corpus:
    """Returns the corpus in a directory; makes it if there is none of this text."""
    fingerprint = _fingerprint(pairs)
    made_of = tokenizer.digest, fingerprint
    local = local_cache(directory) if is_remote(directory) else Path(directory)
    corpus = _load_existing(local, made_of)
    is_stored = not is_remote(directory) or (directory / MANIFEST).exists()
    if corpus is None and is_remote(directory) and is_stored:
        logger.info("copying %s to %s", directory, local)
        fetch_corpus(directory, local)
        corpus = _load_existing(local, made_of)
    if corpus is None:
        logger.info("encoding %d pairs of %s", len(pairs), pairs.name)
        corpus = write_corpus(pairs, tokenizer, local, fingerprint=fingerprint)
        is_stored = not is_remote(directory)
        logger.info(
            "%s: %d pairs, %d with an empty side skipped",
            pairs.name,
            corpus.num_pairs,
            corpus.num_empty,
        )
    if not is_stored:
        store_corpus(local, directory)
    return corpus


def _load_existing(directory: Path, made_of: tuple[str, str]) -> Corpus | None:
    """Returns the corpus in a directory, None if its tokenizer or text is another."""
    if not (directory / MANIFEST).exists():
        return None
    corpus = load_corpus(directory)
    if (corpus.tokenizer_digest, corpus.fingerprint) == made_of:
        return corpus
    logger.info("%s belongs to another text or tokenizer: making it again", directory)
    return None


def _fingerprint(pairs: SentencePairs) -> str:
    """Returns a digest of the size of the text and a thousand of its lines."""
    step = max(1, len(pairs) // 1000)
    hashed = hashlib.sha256(str(len(pairs)).encode())
    for index in range(0, len(pairs), step):
        hashed.update(repr(tuple(pairs[index])).encode())
    return hashed.hexdigest()[:16]
