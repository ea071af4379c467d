"""Settings of the text: subwords, source of the sentence pairs, sizes of batches."""

import re
from dataclasses import dataclass
from typing import Literal

from transformer_jax.config.checks import (
    require_at_least,
    require_float32,
    require_sizes,
    require_types,
)
from transformer_jax.config.corpora import CorpusConfig, check_corpora, corpus_names
from transformer_jax.config.text_files import Split, TextPaths, check_files, files_of
from transformer_jax.errors import InputError

_TRAINING_TEXT = "data.dataset=", "data.train_source_path="

# What vocabularies name their special tokens and single bytes by.
_SPECIAL_PIECES = ("<pad>", "<s>", "</s>", "<unk>")
_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Subwords, learnt from the training text, or your own. Paper: section 5.1.

    Raises:
        InputError: a value of the wrong type or range, or symbols that cannot be one
            piece. The message names the setting, as `tokenizer.kind`.

    Example:
        >>> tj.TokenizerConfig(kind="unigram").character_coverage
        0.9995
    """

    kind: Literal["bpe", "unigram"] = "bpe"
    shared: bool = True
    """One vocabulary for both languages, or one for each."""
    byte_fallback: bool = True
    """Characters outside the vocabulary become UTF-8 bytes, never <unk>."""
    character_coverage: float = 0.9995
    lowercase: bool = False
    max_sentences: int = 10_000_000
    """The vocabulary is learnt from at most this many lines of the training text,
    evenly spaced."""
    path: TextPaths | None = None
    """A vocabulary that is there already: a SentencePiece model; two in a list, source
    first, with `shared` = false; or a work directory or checkpoint, whose tokenizer is
    taken. `model.vocab_size` must be its size. How a vocabulary is learnt, as `kind`,
    is then left as it is. None = one is learnt. A run that goes on has it in its
    checkpoints."""
    user_symbols: tuple[str, ...] = ()
    """Strings that are one piece each wherever they stand in a text, as tags
    ["<2de>", "<2fr>"]. A vocabulary that is learnt gets them; that of `path` must have
    them."""

    def __post_init__(self) -> None:
        require_types("tokenizer", self)
        require_at_least("tokenizer", self, max_sentences=1)
        if not 0.98 <= self.character_coverage <= 1.0:
            raise InputError(
                f"tokenizer.character_coverage={self.character_coverage} "
                "must be in [0.98, 1]."
            )
        if self.path is not None:
            self._check_path()
        for symbol in self.user_symbols:
            self._check_symbol(symbol)

    def _check_path(self) -> None:
        if not all(self.files) or len(self.files) not in (1, 2):
            raise InputError(
                f"tokenizer.path={self.path!r} must be a SentencePiece model, a work "
                "directory or a checkpoint; or two models, source first."
            )
        if self.shared and len(self.files) == 2:
            raise InputError(
                f"tokenizer.path={self.path!r} names two vocabularies, which needs "
                "tokenizer.shared=false; or name one."
            )

    def _check_symbol(self, symbol: str) -> None:
        name = f"tokenizer.user_symbols={list(self.user_symbols)!a:.200}"
        if not symbol or any(c.isspace() or c == "\u2581" for c in symbol):
            raise InputError(
                f"{name}: {symbol!a} must be characters without a space, or \u2581, "
                "which stands for one."
            )
        if not symbol.isprintable():
            raise InputError(f"{name}: {symbol!a} must be printable characters.")
        if symbol in _SPECIAL_PIECES or _BYTE_PIECE.fullmatch(symbol):
            raise InputError(
                f"{name}: {symbol!r} is the name of a token of every vocabulary: "
                "choose another."
            )
        if self.user_symbols.count(symbol) > 1:
            raise InputError(f"{name} has {symbol!r} twice: name it once.")

    @property
    def files(self) -> tuple[str, ...]:
        """The names in `path`.

        Example:
            >>> tj.TokenizerConfig(path="my.model").files
            ('my.model',)
        """
        return (self.path,) if isinstance(self.path, str) else self.path or ()


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Source of the sentence pairs, and sizes of batches. Paper: section 5.1.

    Either `dataset` names a TFDS translation data set, or the `*_path` fields name
    text files, one sentence a line, plain or .gz: one file, or several in a list, the
    first of the one language with the first of the other. Several texts of which each
    has its share in training are `corpora`. Pairs passed from Python need neither.

    Raises:
        InputError: a value of the wrong type or range, only one of the two paths of a
            split, or not as many files of the one as of the other, or corpora that do
            not go together. The message names the setting, as `data.batch_tokens`.

    Example:
        >>> data = tj.DataConfig(batch_tokens=4_096, target_length=64)
        >>> data.rows
        64
    """

    source_language: str = "en"
    target_language: str = "de"
    dataset: str | None = None
    """TFDS name and configuration, such as wmt14_translate/de-en."""
    data_dir: str | None = None
    """Directory of TFDS data sets. None = the default of TFDS."""
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    train_source_path: TextPaths | None = None
    train_target_path: TextPaths | None = None
    validation_source_path: TextPaths | None = None
    validation_target_path: TextPaths | None = None
    test_source_path: TextPaths | None = None
    test_target_path: TextPaths | None = None
    corpora: tuple[CorpusConfig, ...] = ()
    """Several corpora in place of `dataset` and the training files, each with its share
    of the training: tables `[[data.corpora]]`, see `CorpusConfig`."""
    corpora_temperature: float | None = None
    """The share of a corpus is its size to the power of one over this: 1 = as large as
    it is, larger = more for the small ones. None = 1, or what their weights say."""
    source_length: int = 256
    """Tokens in a source row, end-of-sentence included; longer pairs are left out."""
    target_length: int = 256
    batch_tokens: int = 24_576
    """Target positions of a global batch: its rows times target_length."""
    prefetch_batches: int = 16
    accept_other_text: bool = False
    """Continue a run on another training text, with its optimizer and its step count.
    It then begins at the start of that text, with the tokenizer of the model. See
    training.initial_checkpoint for a new run that begins with a trained model."""

    def __post_init__(self) -> None:
        require_types("data", self)
        require_at_least(
            "data", self, source_length=2, target_length=2, prefetch_batches=1
        )
        sizes = "source_length", "target_length", "batch_tokens", "prefetch_batches"
        require_sizes("data", self, *sizes)
        if self.batch_tokens < self.target_length:
            raise InputError(
                f"data.batch_tokens={self.batch_tokens} must be at least one row, "
                f"data.target_length={self.target_length}."
            )
        check_files("data", self)
        require_at_least("data", self, corpora_temperature=1)
        require_float32("data", self, "corpora_temperature")
        texts = [x for x in self.text_settings if x.startswith(_TRAINING_TEXT)]
        check_corpora(self.corpora, self.corpora_temperature, texts)
        splits: tuple[Split, ...] = ("validation", "test")
        for split in splits:
            own = [bool(corpus.files(split)[0]) for corpus in self.corpora]
            if self.files(split)[0] and any(own):
                raise InputError(
                    f"data.{split}_source_path and data.corpora[{own.index(True)}]."
                    f"{split}_source_path exclude each other: keep one."
                )

    def files(self, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns the files of both sides of a split; of none, two empty tuples.

        Example:
            >>> paths = {"test_source_path": "test.en", "test_target_path": "test.de"}
            >>> tj.DataConfig(**paths).files("test")
            (('test.en',), ('test.de',))
        """
        return files_of(self, split)

    @property
    def corpus_names(self) -> tuple[str, ...]:
        """The names of several corpora, none where the text is one."""
        return corpus_names(self.corpora)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of several corpora, each once."""
        tags = [corpus.tag for corpus in self.corpora if corpus.tag is not None]
        return tuple(dict.fromkeys(tags))

    @property
    def text_settings(self) -> list[str]:
        """The settings that name the text, with their values, for messages."""
        names = "dataset", "train_source_path", "validation_source_path", "corpora"
        values = {name: getattr(self, name) for name in names}
        return [
            f"data.{name}={value!r}"
            for name, value in values.items()
            if value not in (None, ())
        ]

    @property
    def rows(self) -> int:
        """Rows of a global batch."""
        return self.batch_tokens // self.target_length
