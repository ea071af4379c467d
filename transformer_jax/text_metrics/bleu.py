"""BLEU: sacreBLEU, and the older tokenised BLEU of the paper.

Scores may be compared only if they were computed in the same way, with the same
tokenisation: every score has a signature that says how.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.moses import MosesRules
from transformer_jax.text_metrics.protocols import (
    PAPER_EN_DE,
    Protocol,
    make_protocol,
    prepare_text,
)
from transformer_jax.text_metrics.tokenizers import SacrebleuTokenizer, check_tokenizer

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU


@dataclasses.dataclass(frozen=True)
class BleuScore:
    """BLEU of a set of translations, in percent, and its parts."""

    bleu: float
    signature: str
    """How it was computed; only scores with equal signatures may be compared."""
    precisions: tuple[float, ...]
    """Of n-grams of 1 to 4 tokens, in percent."""
    brevity_penalty: float
    hypothesis_length: int
    """In tokens."""
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
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool = False,
    tokenizer: SacrebleuTokenizer | None = None,
    language: str | None = None,
) -> BleuScore:
    """Returns sacreBLEU and chrF of detokenised text, in percent; one reference each.

    Text is tokenised by sacreBLEU's rules for its language, so that others can repeat
    the score.

    Args:
        tokenizer: of sacreBLEU; None = that of the language: zh, ja-mecab or ko-mecab
            for Chinese, Japanese or Korean, 13a (mteval-v13a) for all others.
        language: of the text, as `zh`, `zh-CN`, `zho` or `Chinese`; None = any other.

    Raises:
        InputError: the numbers of sentences differ, or are 0; or the tokenizer needs
            packages that are missing.

    Example:
        >>> score = tj.corpus_bleu(["Ein Hund schläft."], ["Ein Hund schläft."])
        >>> round(score.bleu), score.signature.split("|")[3]
        (100, 'tok:13a')
    """
    from sacrebleu.metrics import CHRF

    protocol = make_protocol(
        "sacrebleu", tokenizer=tokenizer, lowercase=lowercase, language=language
    )
    score = bleu(hypotheses, [references], protocol)
    chrf = CHRF(lowercase=lowercase).corpus_score(list(hypotheses), [list(references)])
    return dataclasses.replace(score, chrf=chrf.score)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Returns the paper's English-German BLEU of detokenised text, in percent.

    In both hypothesis and reference, Unicode punctuation is normalised, Moses tokenises
    the text, and compounds are split at hyphens. The split alone raises BLEU by 0.4 to
    1.0: do not compare the score with another kind of BLEU.

    Raises:
        InputError: the numbers of sentences differ, or are 0.

    Example:
        >>> round(tj.paper_bleu(["Ein Hund schläft."], ["Ein Hund schläft."]).bleu)
        100

    Paper: section 6.1, Table 2. The procedure is the reference's.
    """
    return bleu(hypotheses, [references], PAPER_EN_DE)


def tokenized_bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    language: str,
    punctuation: Literal["unicode", "moses"] | None = "moses",
    lowercase: bool = False,
    split_compounds: bool = False,
) -> BleuScore:
    """Returns the multi-bleu score of detokenised text, in percent.

    Moses tokenises the text. `lowercase=True` gives the protocol of published Multi30k
    scores; `punctuation="unicode"` and `split_compounds=True` give that of the paper.

    Args:
        language: two-letter code, for abbreviations and apostrophes.
        punctuation: "unicode" replaces full-width and typographic marks; "moses"
            normalises quotes, spaces and numbers; None changes nothing.
        split_compounds: split words at hyphens.

    Raises:
        InputError: the numbers of sentences differ, or are 0.

    Example:
        >>> texts = ["Ein Hund schläft."]
        >>> round(tj.tokenized_bleu(texts, texts, language="de", lowercase=True).bleu)
        100
    """
    rules = MosesRules(
        language=language, punctuation=punctuation, split_compounds=split_compounds
    )
    protocol = Protocol(tokenizer=None, lowercase=lowercase, moses=rules)
    return bleu(hypotheses, [references], protocol)


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], protocol: Protocol
) -> BleuScore:
    """Returns BLEU by a protocol, against one or several sets of references.

    Raises:
        InputError: the numbers of sentences differ, or are 0.
    """
    check_counts(hypotheses, references)
    metric = bleu_metric(protocol)
    score: Any = metric.corpus_score(
        prepare_text(hypotheses, protocol),
        [prepare_text(side, protocol) for side in references],
    )
    signature = str(metric.get_signature())
    if protocol.moses is not None:
        signature = signature.replace("tok:none", protocol.moses.signature)
    return BleuScore(
        bleu=score.score,
        signature=signature,
        precisions=tuple(score.precisions),
        brevity_penalty=score.bp,
        hypothesis_length=score.sys_len,
        reference_length=score.ref_len,
    )


def bleu_metric(protocol: Protocol) -> "BLEU":
    """Returns sacreBLEU's metric, for text that went through `prepare_text`.

    Raises:
        InputError: its tokenizer needs packages that are missing.
    """
    from sacrebleu.metrics import BLEU

    if protocol.tokenizer is not None:
        check_tokenizer(protocol.tokenizer)
        return BLEU(lowercase=protocol.lowercase, tokenize=protocol.tokenizer)
    # force: no warning about tokenised text, which is what this protocol needs.
    return BLEU(
        lowercase=protocol.lowercase, tokenize="none", smooth_method="none", force=True
    )


def check_counts(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> None:
    """Checks that every hypothesis has its references, and that there is at least one.

    Raises:
        InputError: with the numbers.
    """
    for name, side in (
        ("hypotheses", hypotheses),
        *(("references", side) for side in references),
    ):
        is_list = isinstance(side, Iterable) and not isinstance(side, str)
        if not is_list or not all(isinstance(text, str) for text in side):
            raise InputError(
                f"{name}={side!r:.40} must be a list of sentences, each one a string."
            )
    sizes = [len(side) for side in references]
    counts = (
        f"{len(hypotheses)} hypotheses and "
        f"{' and '.join(map(str, sizes)) or 'no'} references"
    )
    if any(size != len(hypotheses) for size in sizes):
        raise InputError(
            f"{counts}: there must be one reference for each hypothesis, in the same "
            "order, and an empty line for an empty translation."
        )
    if len(hypotheses) == 0 or not sizes:
        raise InputError(f"{counts}: there is nothing to score.")
