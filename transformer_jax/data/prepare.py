"""The data of a work directory: tokenizer and corpora, made once, then loaded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.text_files import Split
from transformer_jax.data.corpora import given_corpora, settings_of_corpus
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.corpus_copy import fetch_corpus, store_corpus
from transformer_jax.data.corpus_files import (
    MANIFEST,
    DamagedCorpus,
    check_usable,
    load_corpus,
    verify_corpus,
    write_corpus,
)
from transformer_jax.data.languages import find_languages
from transformer_jax.data.sentence_pairs import GivenPairs, SentencePairs, from_list
from transformer_jax.data.source import load_split
from transformer_jax.data.text_warnings import warn_of_text
from transformer_jax.data.tokenizer_of_run import TrainedWith, find_or_learn_tokenizer
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import (
    StoredPath,
    create_directory,
    is_remote,
    local_cache,
    remove_if_empty,
)
from transformer_jax.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedData:
    """The data of a run.

    Example:
        >>> data = tj.prepare(config, "runs/prepared", train_pairs=pairs)
        >>> data.tokenizer.decode_source([data.train.source[0]]) == [pairs[0][0]]
        True
    """

    tokenizer: Tokenizer
    train: Corpus
    validation: Corpus | None
    validation_pairs: SentencePairs | None
    """In memory: a change of their files does not change the references."""
    training_text: str
    """Digest of all of the text."""
    validation_text: str | None


def prepare_data(
    config: ExperimentConfig,
    folder: StoredPath,
    *,
    train_pairs: GivenPairs | None = None,
    validation_pairs: GivenPairs | None = None,
    trained: TrainedWith | None = None,
    tokenizer: Tokenizer | None = None,
) -> PreparedData:
    """Returns tokenizer and corpora of a work directory; makes those that are missing.

    A tokenizer is learnt from the training text only. What was made of other settings
    or another text is made again, but never the tokenizer of a trained model.

    Args:
        trained: what the last checkpoint in the directory was trained with, if there is
            one.
        tokenizer: the one to use. None = that of the directory, or a new one.

    Raises:
        InputError: the text, its format or the vocabulary is refused.
    """
    train = choose_pairs(config, "train", train_pairs)
    assert train is not None  # load_pairs refuses a configuration without any
    from_python = train_pairs is not None
    validation = (
        None
        if from_python and validation_pairs is None
        else choose_pairs(config, "validation", validation_pairs)
    )
    if not (from_python or config.treebank.is_used):
        data = config.data
        for settings in [
            settings_of_corpus(data, place) for place in range(len(data.corpora))
        ] or [data]:
            splits = [settings.files(split) for split in get_args(Split)]
            find_languages(settings, *splits).warn()
    if validation is not None:
        validation = validation.in_memory()
        check_usable(validation)
    check_usable(train)
    training_text = train.digest()
    with remove_if_empty(folder):
        create_directory(folder)
        tokenizer = find_or_learn_tokenizer(
            config, folder, train, training_text, trained, tokenizer
        )
    corpora, validation_text = folder / "corpus", None
    validation_corpus = None
    training_corpus = _load_or_write_corpus(
        train, training_text, tokenizer, corpora / "train"
    )
    if validation is not None:
        validation_text = validation.digest()
        validation_corpus = _load_or_write_corpus(
            validation, validation_text, tokenizer, corpora / "validation"
        )
    warn_of_text(train, training_corpus, tokenizer)
    return PreparedData(
        tokenizer=tokenizer,
        train=training_corpus,
        validation=validation_corpus,
        validation_pairs=validation,
        training_text=training_text,
        validation_text=validation_text,
    )


def choose_pairs(
    config: ExperimentConfig, split: Split, given: GivenPairs | None
) -> SentencePairs | None:
    """Returns the given pairs, else those of the settings; None = there are none."""
    if given is None:
        return load_split(config, split)
    if isinstance(given, Mapping):
        return given_corpora(config.data, given, f"{split}_pairs")
    if split == "train" and config.data.corpora:
        raise InputError(
            "train_pairs must be a dictionary, pairs by the names of data.corpora "
            f"({', '.join(config.data.corpus_names)}): each has its weight and tag."
        )
    return from_list(given, name=f"{split} pairs")


def _load_or_write_corpus(
    pairs: SentencePairs, text: str, tokenizer: Tokenizer, directory: StoredPath
) -> Corpus:
    """Returns the corpus in a directory; makes it if there is none of this text."""
    made_of = tokenizer.digest, text
    local = local_cache(directory) if is_remote(directory) else Path(directory)
    corpus = _load_existing(local, made_of)
    is_stored = not is_remote(directory) or (directory / MANIFEST).exists()
    if corpus is None and is_remote(directory) and is_stored:
        logger.info("copying %s to %s", directory, local)
        fetch_corpus(directory, local)
        corpus = _load_existing(local, made_of)
    if corpus is None:
        logger.info("encoding %d pairs of %s", len(pairs), pairs.name)
        corpus = write_corpus(pairs, tokenizer, local, fingerprint=text)
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
    """Returns the corpus in a directory, None if it has to be made."""
    if not (directory / MANIFEST).exists():
        return None
    try:
        verify_corpus(directory)
        corpus = load_corpus(directory)
    except InputError as error:
        problem = error.problem if isinstance(error, DamagedCorpus) else error
        logger.warning("%s: making it again", problem)
        return None
    if (corpus.tokenizer_digest, corpus.fingerprint) == made_of:
        return corpus
    logger.info("%s belongs to another text or tokenizer: making it again", directory)
    return None
