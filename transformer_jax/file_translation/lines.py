"""What is written for one line of a translated file: text, or JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformer_jax.scoring.alignment import Links, pharaoh
from transformer_jax.translation.results import Translation

# What ends a line for some programs; in JSON it can be written in another way.
_BREAKS_IN_TEXT = str.maketrans("\n\r", "  ")
_BREAKS_AND_TABS = str.maketrans("\n\r\t", "   ")
_BREAKS_IN_JSON = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """How translations are written."""

    format: Literal["text", "jsonl"] = "text"
    n_best: int = 1
    """Translations of each line."""
    alignments: bool = False


def written(
    number: int,
    source: str,
    found: Sequence[Translation],
    links: Sequence[Links] | None,
    line_format: LineFormat,
) -> str:
    r"""Returns the lines for one line of the input, each with its end.

    As text a line is the translation alone, or `NUMBER \t SCORE \t TRANSLATION` where
    there may be several; the word alignment follows after a tab. As JSON it is an
    object. What in a translation would end the line is a space.

    Args:
        number: of the line in the input, from 1.
        links: word alignments of each translation, None where they are not wanted.
    """
    lines = []
    for rank, translation in enumerate(found, start=1):
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
            text = _as_text(number, translation, aligned, line_format.n_best)
        lines.append(f"{text}\n")
    return "".join(lines)


def _as_text(
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
