"""Output formats of a file translation: plain text and JSON lines."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformer_jax.scoring.alignment import Links, pharaoh
from transformer_jax.translation.results import Translation

# Characters that some programs read as the end of a line. JSON can escape them.
_BREAKS_IN_TEXT = str.maketrans("\n\r", "  ")
_BREAKS_AND_TABS = str.maketrans("\n\r\t", "   ")
_BREAKS_IN_JSON = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


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
            record |= vars(translation)
            if not math.isfinite(translation.score):  # JSON has no infinity.
                record["score"] = None
            if aligned is not None:
                record["alignment"] = pharaoh(aligned)
            text = json.dumps(record, ensure_ascii=False).translate(_BREAKS_IN_JSON)
        else:
            text = _format_text(number, translation, aligned, line_format.n_best)
        lines.append(f"{text}\n")
    return "".join(lines)


def _format_text(
    number: int, translation: Translation, aligned: Links | None, n_best: int
) -> str:
    if n_best == 1 and aligned is None:
        return translation.text.translate(_BREAKS_IN_TEXT)
    fields = [translation.text.translate(_BREAKS_AND_TABS)]
    if n_best > 1:
        fields = [str(number), f"{translation.score:.4f}", *fields]
    if aligned is not None:
        fields.append(pharaoh(aligned))
    return "\t".join(fields)
