"""A vocabulary of subwords, learnt from sentences by SentencePiece.

Text is not NFKC-normalised, as it is by default in SentencePiece: that would rewrite ½,
™ or full-width letters, but a reference translation is scored as it was written. Only
white space is normalised: each run of it becomes one space, none stays at either end,
and U+2581 (▁), SentencePiece's sign for a space, is one too. Decoding gives back all
other characters unchanged; with byte fallback this holds for every character.
"""

import io
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import sentencepiece

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.errors import InputError

# Not the number of cores: the result depends on it, since unigram sums the counts of
# its threads.
_THREADS = 4
LONGEST_LINE = 16_384
"""Characters of a line that the vocabulary is learnt from; longer ones are left out."""
_LONGEST_LINE_BYTES = 1 << 24  # SentencePiece ignores longer lines without a warning.
_ERRORS_ONLY = 2
_RESERVED = "\u2585"  # SentencePiece leaves out a sentence that has it.
SPACE = "\u2581"
"""SentencePiece writes a space so."""

logger = logging.getLogger(__name__)


def learn_vocabulary(
    sentences: Iterable[str],
    config: TokenizerConfig,
    vocab_size: int,
    setting: str,
    symbols: Sequence[str] = (),
) -> bytes:
    """Returns a serialised model of exactly `vocab_size` pieces, special ones included.

    The same sentences and settings give the same bytes.

    Args:
        sentences: are read once.
        setting: name of `vocab_size` in messages.
        symbols: words that are one piece each, wherever they begin a word; beside
            `tokenizer.user_symbols`, which are one piece anywhere.

    Raises:
        InputError: the text does not support a vocabulary of that size.
    """
    sentencepiece.set_min_log_level(
        _ERRORS_ONLY
    )  # Its progress would fill standard error.
    lines, is_unigram = _Lines(sentences), config.kind == "unigram"
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines) if is_unigram else _count_words(lines),
            input_format="text" if is_unigram else "tsv",
            model_writer=written,
            model_type=config.kind,
            vocab_size=vocab_size,
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            normalizer=_normalizer(config.lowercase),
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            user_defined_symbols=[
                *config.user_symbols,
                *(f"{SPACE}{symbol}" for symbol in symbols),
            ],
            max_sentence_length=_LONGEST_LINE_BYTES,
            num_threads=_THREADS,
            minloglevel=_ERRORS_ONLY,
        )
    except RuntimeError as error:
        lines.raise_failure()
        raise _explain(str(error), vocab_size, setting) from error
    lines.warn_of_long()
    return written.getvalue()


def _count_words(lines: Iterable[str]) -> Iterator[str]:
    """Yields each word and how often it occurs, as SentencePiece reads it.

    Byte pairs are merged within words, so the vocabulary is that of the lines, to the
    bit; SentencePiece would hold all of them in memory. A unigram model begins with
    substrings of whole lines, and needs them.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        if _RESERVED not in line:
            counts.update(line.replace(SPACE, " ").split())
    for word, number in counts.items():
        yield f"{word}\t{number}"


class _Lines:
    """The lines that a vocabulary is learnt from, and what was wrong with them."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._sentences = sentences
        self._failure: BaseException | None = None
        self._num_lines = self._num_long = 0

    def __iter__(self) -> Iterator[str]:
        # SentencePiece turns an error of its input, and an interruption, into a
        # RuntimeError of its own.
        try:
            for sentence in self._sentences:
                check_unicode(sentence)
                self._num_lines += 1
                # A line of another kind, as a whole book, would rule the counts.
                if len(sentence) > LONGEST_LINE:
                    self._num_long += 1
                else:
                    yield sentence
        except BaseException as failure:
            self._failure = failure
            raise

    def raise_failure(self) -> None:
        """Raises what has kept SentencePiece from reading any line."""
        if self._failure is not None:
            raise self._failure from None
        if self._num_long == self._num_lines > 0:
            raise InputError(
                f"every line of the training text is longer than {LONGEST_LINE:,} "
                "characters: a text has one sentence a line, ended by \\n."
            ) from None

    def warn_of_long(self) -> None:
        """Logs how many lines were left out."""
        if self._num_long:
            logger.warning(
                "left %d of %d lines out of the vocabulary, as they are longer than %d "
                "characters",
                self._num_long,
                self._num_lines,
                LONGEST_LINE,
            )


def _normalizer(lowercase: bool) -> sentencepiece.SentencePieceNormalizer:
    """Returns rules that map all white space to spaces, and capitals if asked."""
    rules = []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if (character.isspace() and character != " ") or character == SPACE:
            rules.append((character, " "))
        elif lowercase and character.lower() != character:
            # Not SentencePiece's case folding, which also turns ß into ss.
            rules.append((character, character.lower()))
    return sentencepiece.SentencePieceNormalizer(
        norm_map=rules,
        add_dummy_prefix=True,
        escape_whitespaces=True,
        remove_extra_whitespaces=True,
    )


def _explain(message: str, vocab_size: int, setting: str) -> Exception:
    """Returns an InputError for a known failure, otherwise a RuntimeError."""
    if largest := re.search(r"too high .*<= (\d+)", message):
        return InputError(
            f"{setting}={vocab_size} is more than the training text supports: "
            f"set it to at most {largest[1]}, or give more text."
        )
    if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return InputError(
            f"{setting}={vocab_size} is too small for the characters of the training "
            f"text: set it above {needed[1]}, or lower tokenizer.character_coverage."
        )
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return InputError(
            "the training text has no words, so no tokenizer can be learnt from it: "
            "check the data section of the configuration."
        )
    return RuntimeError(f"SentencePiece could not train a tokenizer: {message}")


def check_unicode(sentence: str) -> None:
    """Checks that the sentence can be written as UTF-8.

    Raises:
        InputError: it contains half of a surrogate pair.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the sentence {sentence[:60]!a} has half of a surrogate pair at "
            f"character {error.start + 1}: it is not Unicode text; mend its encoding."
        ) from None
