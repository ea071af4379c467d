"""BLEU: sacreBLEU with its signature, and the older tokenised BLEU of the paper.

The numbers of the two are not comparable, and neither are those of two tokenisations:
every score carries a signature that says how it was made.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEUScore

Punctuation = Literal["unicode", "moses"]

# multi-bleu reads bytes, to which only ASCII white space separates tokens. Python, and
# so sacreBLEU, also splits at the others, the no-break space above all. They become
# code points that Unicode reserves for a program's own use.
_OTHER_SPACES = [
    code
    for code in range(0x3001)
    if chr(code).isspace() and chr(code) not in " \t\n\v\f\r"
]
_KEEP_INSIDE_TOKENS = {
    space: 0xFDD0 + index for index, space in enumerate(_OTHER_SPACES)
}


@dataclasses.dataclass(frozen=True)
class BleuScore:
    """BLEU of a set of translations, in percent, and what it is made of."""

    bleu: float
    signature: str
    """How the score was made; only scores of one signature may be compared."""
    precisions: tuple[float, ...]
    """Of n-grams of 1 to 4 tokens, in percent."""
    brevity_penalty: float
    hypothesis_length: int
    """Tokens, as the ones below."""
    reference_length: int
    chrf: float | None = None
    """Character n-gram F score in percent; None for tokenised BLEU."""

    def __str__(self) -> str:
        """The line that multi-bleu prints."""
        ratio = self.hypothesis_length / max(self.reference_length, 1)
        return (
            f"BLEU = {self.bleu:.2f}, "
            f"{'/'.join(f'{precision:.1f}' for precision in self.precisions)} "
            f"(BP={self.brevity_penalty:.3f}, ratio={ratio:.3f}, "
            f"hyp_len={self.hypothesis_length}, ref_len={self.reference_length})"
        )


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False
) -> BleuScore:
    """Returns sacreBLEU and chrF of detokenised text, one reference a hypothesis.

    Tokenised by mteval-v13a's rules, so that anyone who has the text gets the number.

    Raises:
        InputError: where the counts differ or there is nothing to score.
    """
    from sacrebleu.metrics import BLEU, CHRF

    _check(hypotheses, references)
    metric = BLEU(lowercase=lowercase)
    score = metric.corpus_score(list(hypotheses), [list(references)])
    chrf = CHRF(lowercase=lowercase).corpus_score(list(hypotheses), [list(references)])
    return _bleu_score(score, str(metric.get_signature()), chrf=chrf.score)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Returns the English-German BLEU of the paper, of detokenised German text.

    Unicode punctuation is normalised, the text tokenised by Moses, and compounds are
    split at hyphens, in hypothesis and reference alike. The split alone is worth 0.4
    to 1.0 BLEU: the number may be compared with no other kind.

    Raises:
        InputError: where the counts differ or there is nothing to score.

    Paper: section 6.1, Table 2. The procedure is the reference's.
    """
    return tokenized_bleu(
        hypotheses, references,
        language="de", punctuation="unicode", split_compounds=True,
    )  # fmt: skip


def tokenized_bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    language: str,
    punctuation: Punctuation | None = "moses",
    lowercase: bool = False,
    split_compounds: bool = False,
) -> BleuScore:
    """Returns multi-bleu of detokenised text, after `moses_tokenize` of both sides.

    With `lowercase` it is the protocol of published Multi30k scores; with
    `punctuation="unicode"` and `split_compounds` that of the paper.

    Raises:
        InputError: where the counts differ or there is nothing to score.
    """
    _check(hypotheses, references)
    sides = [
        moses_tokenize(
            side, language=language, punctuation=punctuation, lowercase=lowercase,
            split_compounds=split_compounds,
        )
        for side in (hypotheses, references)
    ]  # fmt: skip
    score = multi_bleu(*sides)
    import sacremoses

    made_by = (
        f"tok:moses-{language}|punct:{punctuation or 'as-is'}"
        f"|compounds:{'split' if split_compounds else 'whole'}"
        f"|sacremoses:{sacremoses.__version__}"
    )
    signature = score.signature.replace("tok:none", made_by)
    if lowercase:
        signature = signature.replace("case:mixed", "case:lc")
    return dataclasses.replace(score, signature=signature)


def multi_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Returns BLEU of text that is tokenised already: what multi-bleu prints.

    Tokens are what white space separates. There is no smoothing: without a matching
    4-gram the score is 0.

    Raises:
        InputError: where the counts differ or there is nothing to score.
    """
    from sacrebleu.metrics import BLEU

    _check(hypotheses, references)
    # force: the warning about tokenised text is meant for others.
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    score = metric.corpus_score(
        [line.translate(_KEEP_INSIDE_TOKENS) for line in hypotheses],
        [[line.translate(_KEEP_INSIDE_TOKENS) for line in references]],
    )
    return _bleu_score(score, str(metric.get_signature()))


def moses_tokenize(
    lines: Sequence[str],
    *,
    language: str,
    punctuation: Punctuation | None = "moses",
    lowercase: bool = False,
    split_compounds: bool = False,
) -> list[str]:
    """Returns lines tokenised by the rules of Moses, tokens separated by spaces.

    Args:
        lines: detokenised text.
        language: two-letter code, for abbreviations and apostrophes.
        punctuation: `unicode` replaces full-width and typographic marks
            (replace-unicode-punctuation), `moses` normalises quotes, spaces and
            numbers (normalize-punctuation), None leaves all as it is.
        lowercase: before all else.
        split_compounds: put `##AT##-##AT##` for a hyphen inside a token.
    """
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer = MosesPunctNormalizer(language)
    tokenizer = MosesTokenizer(language)
    tokenized = []
    for line in lines:
        if lowercase:
            line = line.lower()
        if punctuation == "unicode":
            line = normalizer.replace_unicode_punct(line)
        elif punctuation == "moses":
            # The original sees the newline too, which decides what becomes of a
            # period before the last quote.
            line = normalizer.normalize(line + "\n")
        line = tokenizer.tokenize(line, return_str=True)
        if split_compounds:
            # As the original: of two hyphens one letter apart, only the first.
            line = re.sub(r"(\S)-(\S)", r"\1 ##AT##-##AT## \2", line)
        tokenized.append(line)
    return tokenized


def _bleu_score(score: "BLEUScore", signature: str, **more: Any) -> BleuScore:
    return BleuScore(
        bleu=score.score,
        signature=signature,
        precisions=tuple(score.precisions),
        brevity_penalty=score.bp,
        hypothesis_length=score.sys_len,
        reference_length=score.ref_len,
        **more,
    )


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    counts = f"{len(hypotheses)} hypotheses and {len(references)} references"
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise InputError(
            "Hypotheses and references must be lists of sentences, not one string."
        )
    if len(hypotheses) != len(references):
        raise InputError(
            f"{counts}: there must be one reference for each hypothesis, in the same "
            "order, and an empty line for an empty translation."
        )
    if len(hypotheses) == 0:
        raise InputError(f"{counts}: there is nothing to score.")
