"""The command `bleu`."""

import dataclasses
import logging
from pathlib import Path

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json
from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines
from transformer_jax.text_metrics.protocols import ProtocolName, SacrebleuTokenizer

# Arguments of `translation_quality` as its errors name them, and as the shell's user
# does.
_FLAGS = {
    "resamples=": "--resamples ",
    "seed=": "--seed ",
    "protocol=": "--protocol ",
    "language=": "--language ",
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
        hypothesis: the translations, one a line.
        reference: one or several files of as many lines.
        protocol: sacrebleu, which others can repeat; paper-en-de, the paper's for
            English-German; multi30k, as published for it (lowercased Moses tokens);
            multi-bleu, for text that is tokenised already.
        tokenizer: of sacrebleu; default 13a.
        lowercase: for sacrebleu and multi-bleu.
        language: of the translations, as de; for multi30k.
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
    texts = dict(zip(files, _parallel_lines(files), strict=True))
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


def _parallel_lines(files: list[Path]) -> list[list[str]]:
    """Returns the lines of files, which must have equally many.

    Raises:
        InputError: the numbers of lines differ or are 0, or a file cannot be read.
    """
    texts = []
    for path in files:
        with open_lines(path) as lines:
            texts.append(list(lines))
        if len(texts[-1]) != len(texts[0]):
            raise InputError(
                f"{files[0]} has {len(texts[0])} lines and {path} has "
                f"{len(texts[-1])}: line n of each must belong to the same sentence, "
                "with an empty line for an empty translation."
            )
    if not texts[0]:
        raise InputError(f"{files[0]} is empty: there is nothing to score.")
    return texts
