"""Subword tokenizers: trained on the training text, saved, loaded, applied.

A SentencePiece model file holds all that a tokenizer does to text, lowercasing
included, so that translation needs no other file beside a checkpoint.

Paper: section 5.1, a shared byte-pair vocabulary of about 37,000 (English-German).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sentencepiece

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import (
    StoredPath,
    work_directory,
    write_whole,
)
from transformer_jax.tokenizer.special_ids import SpecialIds, special_ids
from transformer_jax.tokenizer.subwords import (
    decode_ids,
    encode_sentences,
    find_bytes,
)
from transformer_jax.tokenizer.symbols import fill_symbols, word_symbols
from transformer_jax.tokenizer.vocabulary import learn_vocabulary

SHARED_FILE = "tokenizer.model"
SOURCE_FILE = "tokenizer.source.model"
TARGET_FILE = "tokenizer.target.model"
_FILES = {SHARED_FILE, SOURCE_FILE, TARGET_FILE}


@dataclass(frozen=True)
class Tokenizer:
    """Turns sentences into token ids and back, for both languages.

    The special tokens have the ids of the models, whatever these are. A missing pad is
    that of end-of-sentence, a missing beginning that of the pad.

    Raises:
        InputError: a model has no end-of-sentence.

    Example:
        >>> tokenizer = tj.Translator.from_checkpoint(workdir).tokenizer
        >>> ids = tokenizer.encode_source(["A house."])[0]
        >>> ids[-1] == tokenizer.eos_id
        True
        >>> tokenizer.decode_target([ids])
        ['A house.']
    """

    source_model: bytes
    """A serialised SentencePiece model."""
    target_model: bytes
    """Equal to `source_model` if the two languages share a vocabulary."""

    def __post_init__(self) -> None:
        # They raise the error.
        _ = self._source_ids, self._target_ids

    @cached_property
    def _source(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.source_model)

    @cached_property
    def _target(self) -> sentencepiece.SentencePieceProcessor:
        if self.is_shared:
            return self._source
        return sentencepiece.SentencePieceProcessor(model_proto=self.target_model)

    @property
    def is_shared(self) -> bool:
        """Whether both languages have one vocabulary."""
        return self.source_model == self.target_model

    @property
    def source_vocab_size(self) -> int:
        """Number of source token ids, special ones included."""
        return self._source.get_piece_size()

    @property
    def target_vocab_size(self) -> int:
        """Number of target token ids, special ones included."""
        return self._target.get_piece_size()

    @cached_property
    def _source_ids(self) -> SpecialIds:
        return special_ids(self._source, "source")

    @cached_property
    def _target_ids(self) -> SpecialIds:
        return special_ids(self._target, "target")

    @property
    def pad_id(self) -> int:
        """Id of padding, in both languages."""
        pad = self._target_ids.pad
        # Another source vocabulary may not have it; an embedding has a row 0.
        return pad if pad < self.source_vocab_size else 0

    @property
    def bos_id(self) -> int:
        """Id of beginning-of-sentence, the first input of the decoder."""
        return self._target_ids.bos

    @property
    def eos_id(self) -> int:
        """Id of end-of-sentence, the last of every encoded target sentence."""
        return self._target_ids.eos

    @property
    def source_eos_id(self) -> int:
        """Id of end-of-sentence in the source vocabulary."""
        return self._source_ids.eos

    @property
    def unk_id(self) -> int:
        """Id of unknown characters; with byte fallback it does not occur."""
        return self._target_ids.unk

    @cached_property
    def source_bytes(self) -> np.ndarray:
        """Which source ids stand for a single byte, bool [source_vocab_size]."""
        return find_bytes(self._source)

    @cached_property
    def target_bytes(self) -> np.ndarray:
        """Which target ids stand for a single byte, bool [target_vocab_size]."""
        return find_bytes(self._target)

    @cached_property
    def target_symbols(self) -> dict[str, int]:
        """Words that are one piece of the target vocabulary each, with their ids."""
        return word_symbols(self.target_model)

    @cached_property
    def digest(self) -> str:
        """Identifies the contents: tokenizers with equal digests are the same."""
        hashed = hashlib.sha256(self.source_model)
        hashed.update(self.target_model)
        return hashed.hexdigest()[:16]

    def encode_source(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each source sentence, end-of-sentence last."""
        return encode_sentences(self._source, sentences)

    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each target sentence, end-of-sentence last."""
        return encode_sentences(self._target, sentences)

    def decode_source(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Returns the text of each sequence, up to its first end-of-sentence."""
        return decode_ids(self._source, self._source_ids, ids)

    def decode_target(self, ids: Iterable[Iterable[int]]) -> list[str]:
        """Returns the text of each sequence, up to its first end-of-sentence."""
        return decode_ids(self._target, self._target_ids, ids)

    def source_pieces(self, ids: Iterable[int]) -> list[str]:
        """Returns the subword of each source id; ▁ stands for a space."""
        return [self._source.id_to_piece(int(i)) for i in ids]

    def target_pieces(self, ids: Iterable[int]) -> list[str]:
        """Returns the subword of each target id; ▁ stands for a space."""
        return [self._target.id_to_piece(int(i)) for i in ids]

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes one model file, or one for each language, into the directory."""
        folder = work_directory(directory)
        folder.mkdir(parents=True, exist_ok=True)
        files = {SOURCE_FILE: self.source_model, TARGET_FILE: self.target_model}
        if self.is_shared:
            files = {SHARED_FILE: self.source_model}
        for name, contents in files.items():
            write_whole(folder / name, contents)
        _remove_files(folder, _FILES - set(files))


def train_tokenizer(
    pairs: Iterable[tuple[str, str]],
    config: TokenizerConfig,
    model: ModelConfig,
    symbols: Sequence[str] = (),
) -> Tokenizer:
    """Returns a tokenizer with the model's vocabulary sizes, learnt from the pairs.

    The same pairs and settings give the same bytes. `pairs` has a length and is read
    once, or once for each language if they have separate vocabularies.

    Args:
        symbols: words that are one piece each; where the vocabularies are separate,
            all words of the targets.

    Raises:
        InputError: the text does not support a vocabulary of that size.
    """
    num_pairs = len(pairs)  # type: ignore[arg-type]
    if config.shared:
        sample = _sample_evenly(pairs, num_pairs, max(1, config.max_sentences // 2))
        both = (side for pair in sample for side in pair)
        shared = learn_vocabulary(
            both, config, model.vocab_size, "model.vocab_size", symbols
        )
        return Tokenizer(shared, shared)
    sizes = {
        "model.vocab_size": model.vocab_size,
        "model.target_vocab_size": model.output_vocab_size,
    }
    models = []
    for side, (setting, size) in enumerate(sizes.items()):
        sample = _sample_evenly(pairs, num_pairs, config.max_sentences)
        texts = (pair[side] for pair in sample)
        own = fill_symbols(symbols, config, size) if side and symbols else ()
        models.append(learn_vocabulary(texts, config, size, setting, own))
    return Tokenizer(*models)


def has_tokenizer(directory: str | os.PathLike[str]) -> bool:
    """Returns whether the directory holds a tokenizer, or a part of one."""
    return any((work_directory(directory) / name).exists() for name in _FILES)


def remove_tokenizer(directory: str | os.PathLike[str]) -> None:
    """Removes the model files in the directory, if there are any."""
    _remove_files(work_directory(directory), _FILES)


def load_tokenizer(directory: str | os.PathLike[str]) -> Tokenizer:
    """Returns the tokenizer that `Tokenizer.save` wrote into the directory.

    Raises:
        InputError: there is none, or a file is not a SentencePiece model.
    """
    folder = work_directory(directory)
    if (folder / SHARED_FILE).exists():
        shared = read_model(folder / SHARED_FILE)
        return Tokenizer(shared, shared)
    for name in (SOURCE_FILE, TARGET_FILE):
        if not (folder / name).exists():
            raise InputError(
                f"no tokenizer in {str(folder)!r}: expected {SHARED_FILE}, or "
                f"{SOURCE_FILE} and {TARGET_FILE}; run `transformer-jax prepare`."
            )
    return Tokenizer(read_model(folder / SOURCE_FILE), read_model(folder / TARGET_FILE))


def _sample_evenly(
    pairs: Iterable[tuple[str, str]], num_pairs: int, most: int
) -> Iterator[tuple[str, str]]:
    """Yields all pairs, or `most` of them at even distances."""
    if num_pairs <= most:
        yield from pairs
        return
    for index, pair in enumerate(pairs):
        if index * most // num_pairs != (index - 1) * most // num_pairs:
            yield pair


def read_model(
    path: StoredPath,
    remedy: str = "restore it, or remove it, and it is learnt again",
) -> bytes:
    """Returns the contents of the file of a SentencePiece model.

    Args:
        remedy: what to do if it is none, for the message.

    Raises:
        InputError: it is none.
    """
    contents: bytes = path.read_bytes()
    try:
        sentencepiece.SentencePieceProcessor(model_proto=contents)
    except (RuntimeError, ValueError, TypeError):
        contents = b""
    if not contents:
        raise InputError(f"{str(path)!r} is not a SentencePiece model: {remedy}.")
    return contents


def _remove_files(folder: StoredPath, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
