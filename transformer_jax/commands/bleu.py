"""The command `bleu`."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.parallel_lines import parallel_lines
from transformer_jax.errors import InputError
from transformer_jax.storage.text_encoding import check_read_once
from transformer_jax.text_metrics.languages import (
    check_language,
    language_code,
    suffix_language,
)
from transformer_jax.text_metrics.protocols import ProtocolName
from transformer_jax.text_metrics.tokenizers import SacrebleuTokenizer

# Arguments of `translation_quality` as its errors name them, and as the shell's user
# does.
_FLAGS = {
    "resamples=": "--resamples ",
    "seed=": "--seed ",
    "protocol=": "--protocol ",
    "language=": "--language ",
    "tokenizer=": "--tokenizer ",
}


def bleu(
    hypothesis: Path,
    reference: tuple[Path, ...],
    protocol: ProtocolName = "sacrebleu",
    tokenizer: SacrebleuTokenizer | None = None,
    lowercase: bool = False,
    language: str | None = None,
    baseline: Path | None = None,
    resamples: int = 1_000,
    seed: int = 12_345,
) -> None:
    """Score translations: BLEU, chrF and TER, as one JSON object.

    Args:
        hypothesis: the translations, one a line; - for standard input.
        reference: one or several files of as many lines.
        protocol: sacrebleu, which others can repeat; paper-en-de, the paper's for
            English-German; multi30k, as published for it (lowercased Moses tokens);
            multi-bleu, for text that is tokenised already.
        tokenizer: of sacrebleu; default that of the language.
        lowercase: for sacrebleu and multi-bleu.
        language: of the translations, as de or Chinese, for multi30k and the tokenizer
            of sacrebleu; default that of the files' names, as for ref.zh, if any.
        baseline: translations by another system, to compare with by paired bootstrap.
        resamples: of the sentences, for that comparison.
        seed: of the resamples.
    """
    from transformer_jax.text_metrics.quality import translation_quality

    # Its warnings name text that seems to be tokenised already.
    logging.getLogger("sacrebleu").setLevel(logging.WARNING)
    if not reference:
        raise InputError("--reference needs at least one file.")
    files = [hypothesis, *reference] + ([] if baseline is None else [baseline])
    check_read_once(*files)
    if language is not None:
        with flags_in_errors(_FLAGS):
            check_language(language)
    language = _find_language(protocol, language, [*reference, hypothesis])
    texts = dict(zip(files, parallel_lines(files), strict=True))
    with flags_in_errors(_FLAGS):
        quality = translation_quality(
            texts[hypothesis],
            [texts[path] for path in reference],
            protocol=protocol,
            tokenizer=tokenizer,
            lowercase=lowercase,
            language=language,
            baseline=None if baseline is None else texts[baseline],
            resamples=resamples,
            seed=seed,
        )
    found = dataclasses.asdict(quality)
    print_json({name: value for name, value in found.items() if value is not None})


def _find_language(
    protocol: ProtocolName, given: str | None, files: Sequence[Path]
) -> str | None:
    """Returns the language of translations; by names of files where none is given.

    Raises:
        InputError: the protocol is for another one than a file is named as.
    """
    named = {path: code for path in files if (code := suffix_language(path))}
    if given is not None:
        code = language_code(given)
        for path, other in named.items():
            if other != code:
                print_note(f"--language {given}, but {path} is named as {other}")
                break
        return given
    for path, code in named.items():
        if protocol == "paper-en-de" and code != "de":
            raise InputError(
                f"--protocol paper-en-de is for translations into German, and {path} "
                f"is named as {code}: choose another, or say --language de."
            )
    takes_one = protocol in ("sacrebleu", "multi30k")
    return next(iter(named.values()), None) if takes_one else None
