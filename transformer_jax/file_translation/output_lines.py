"""Output formats of a file translation: plain text and JSON lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformer_jax.scoring.alignment import pharaoh
from transformer_jax.scoring.words import Links
from transformer_jax.storage.json_values import json_line
from transformer_jax.translation.results import Translation

_BREAKS_IN_TEXT = str.maketrans("\n\r", "  ")
_BREAKS_AND_TABS = str.maketrans("\n\r\t", "   ")


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """Format of the output, and what each line of it holds."""

    format: Literal["text", "jsonl"] = "text"
    n_best: int = 1
    """Translations of each line."""
    alignments: bool = False
    """Whether word alignments are written too."""


def format_translations(
    number: int,
    source: str,
    translations: Sequence[Translation],
    links: Sequence[Links] | None,
    line_format: LineFormat,
) -> str:
    r"""Returns the output lines of one input line, one for each translation.

    A line of text is the translation, or `NUMBER \t SCORE \t TRANSLATION` with n_best
    above 1; the word alignment follows after a tab. A line of JSON is one object. In
    text, a space replaces each character of a translation that would end the line.

    Args:
        number: number of the input line, from 1.
        links: word alignment of each translation. None = do not write alignments.
    """
    lines = []
    for rank, translation in enumerate(translations, start=1):
        aligned = None if links is None else links[rank - 1]
        if line_format.format == "jsonl":
            record = {"line": number, "rank": rank, "source": source}
            record |= translation.as_record()
            if aligned is not None:
                record["alignment"] = pharaoh(aligned)
            text = json_line(record)
        else:
            text = _format_text(number, translation, aligned, line_format.n_best)
        lines.append(f"{text}\n")
    return "".join(lines)


def format_problem(
    number: int, source: str, problem: str, line_format: LineFormat
) -> str:
    """Returns the output of a line that cannot be used: nothing, or what is wrong."""
    nothing = Translation("", 0.0, True, [])
    if line_format.format == "text":
        links: Links | None = [] if line_format.alignments else None
        return f"{_format_text(number, nothing, links, line_format.n_best)}\n"
    readable = source.encode(errors="surrogateescape").decode(errors="replace")
    record = {"line": number, "rank": 1, "source": readable, "error": problem}
    return f"{json_line(record)}\n"


def text_line(translation: str) -> str:
    """Returns a translation as one line: spaces replace what would end it."""
    return translation.translate(_BREAKS_IN_TEXT)


def _format_text(
    number: int, translation: Translation, aligned: Links | None, n_best: int
) -> str:
    if n_best == 1 and aligned is None:
        return text_line(translation.text)
    fields = [translation.text.translate(_BREAKS_AND_TABS)]
    if n_best > 1:
        fields = [str(number), f"{translation.score:.4f}", *fields]
    if aligned is not None:
        fields.append(pharaoh(aligned))
    return "\t".join(fields)
