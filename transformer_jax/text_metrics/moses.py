"""Moses tokens, on which the older kinds of BLEU are computed.

Through sacremoses. Line by line on 76,000 lines of German, French and English news,
captions, statutes and translations it gives what the Perl programs of the paper's time
gave. Against those of today it differs in one thing: since November 2018
tokenizer.perl splits the last period of a line from any word, also from `usw.`, `Mio.`
and `Art.`, which sacremoses leaves whole. That is about one line in 500, and at most
0.01 BLEU on the outputs of WMT17.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal

from transformer_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class MosesRules:
    """What is done to a line on the way to its tokens."""

    language: str
    """Two-letter code, for abbreviations and apostrophes."""
    punctuation: Literal["unicode", "moses"] | None = "moses"
    """`unicode` replaces full-width and typographic marks
    (replace-unicode-punctuation), `moses` normalises quotes, spaces and numbers
    (normalize-punctuation), None leaves all as it is."""
    split_compounds: bool = False
    """Put `##AT##-##AT##` for a hyphen inside a token."""

    @property
    def signature(self) -> str:
        """What a score's signature says of these rules."""
        import sacremoses

        return (
            f"tok:moses-{self.language}|punct:{self.punctuation or 'as-is'}"
            f"|compounds:{'split' if self.split_compounds else 'whole'}"
            f"|sacremoses:{sacremoses.__version__}"
        )


def moses_tokenize(lines: Sequence[str], rules: MosesRules) -> list[str]:
    """Returns detokenised lines tokenised by Moses, tokens separated by spaces.

    Raises:
        InputError: Moses has no rules for the language.
    """
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    _check_language(rules.language)
    # Without parity a typographic apostrophe would not become a double quote, as
    # normalize-punctuation makes it.
    normalizer = MosesPunctNormalizer(rules.language, perl_parity=True)
    tokenizer = MosesTokenizer(rules.language)
    tokenized = []
    for line in lines:
        if rules.punctuation == "unicode":
            line = normalizer.replace_unicode_punct(line)
        elif rules.punctuation == "moses":
            # The original sees the newline too, which decides what becomes of a
            # period before the last quote.
            line = normalizer.normalize(line + "\n")
        line = tokenizer.tokenize(line, return_str=True)
        if rules.split_compounds:
            # As the original: of two hyphens one letter apart, only the first.
            line = re.sub(r"(\S)-(\S)", r"\1 ##AT##-##AT## \2", line)
        tokenized.append(line)
    return tokenized


def _check_language(language: str) -> None:
    """Refuses what sacremoses would tokenise as English without a word."""
    from sacremoses.corpus import NonbreakingPrefixes

    known = sorted(set(NonbreakingPrefixes().available_langs.values()))
    if language not in known:
        raise InputError(
            f"language={language!r} has no Moses tokens: use one of {', '.join(known)}."
        )
