"""A vocabulary of subwords, learnt from sentences: text in, SentencePiece model out.

Text is not NFKC-normalised, as SentencePiece does by default: that rewrites ½, ™ or
full-width letters, and a reference translation is scored as it was written. Only white
space is: each run of it becomes one space, none is kept at either end, and U+2581 (▁),
SentencePiece's own sign for a space, counts as one. All else is decoded as it was
encoded; with byte fallback that holds for any character at all.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator

import sentencepiece

from transformer_jax.config.experiment import TokenizerConfig
from transformer_jax.errors import InputError

# Part of the result (unigram sums its threads' counts), so not the number of cores.
_THREADS = 4
_LONGEST_LINE_BYTES = 1 << 24  # SentencePiece leaves longer lines out without a word.
_ERRORS_ONLY = 2


def learn_vocabulary(
    sentences: Iterable[str], config: TokenizerConfig, vocab_size: int, setting: str
) -> bytes:
    """A serialised model of exactly `vocab_size` pieces, the special ones included.

    The same sentences and settings give the same bytes.

    Args:
        sentences: read once.
        config: how to learn.
        vocab_size: pieces.
        setting: the name of `vocab_size` in messages.

    Raises:
        InputError: the text does not support a vocabulary of that size.
    """
    sentencepiece.set_min_log_level(_ERRORS_ONLY)  # Progress fills standard error.
    failures: list[Exception] = []

    def watched() -> Iterator[str]:
        # SentencePiece turns what its input raises into a RuntimeError of its own.
        try:
            for sentence in sentences:
                check_unicode(sentence)
                yield sentence
        except Exception as failure:
            failures.append(failure)
            raise

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=watched(),
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
            max_sentence_length=_LONGEST_LINE_BYTES,
            num_threads=_THREADS,
            minloglevel=_ERRORS_ONLY,
        )
    except RuntimeError as error:
        if failures:
            raise failures[0] from None
        raise _explained(str(error), vocab_size, setting) from error
    return written.getvalue()


def _normalizer(lowercase: bool) -> sentencepiece.SentencePieceNormalizer:
    """Maps each kind of white space to a space and, if asked, capitals to small."""
    rules = []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if character.isspace() and character != " ":
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


def _explained(message: str, vocab_size: int, setting: str) -> Exception:
    """The InputError for a failed training, or a RuntimeError if it is not known."""
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
        InputError: it holds half of a surrogate pair.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the sentence {sentence[:60]!a} has half of a surrogate pair at "
            f"character {error.start + 1}: it is not Unicode text; mend its encoding."
        ) from None
