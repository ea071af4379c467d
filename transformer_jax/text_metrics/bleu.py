"""BLEU: sacreBLEU with its signature, and the older tokenised BLEU of the paper.

The numbers of the two are not comparable, and neither are those of two tokenisations:
every score carries a signature that says how it was made.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.moses import MosesRules
from transformer_jax.text_metrics.protocols import PAPER_EN_DE, Protocol, prepare

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU


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

    Example:
        >>> score = tj.corpus_bleu(["Ein Hund schläft."], ["Ein Hund schläft."])
        >>> round(score.bleu), score.signature.split("|")[3]
        (100, 'tok:13a')
    """
    from sacrebleu.metrics import CHRF

    score = bleu(hypotheses, [references], Protocol(lowercase=lowercase))
    chrf = CHRF(lowercase=lowercase).corpus_score(list(hypotheses), [list(references)])
    return dataclasses.replace(score, chrf=chrf.score)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Returns the English-German BLEU of the paper, of detokenised German text.

    Unicode punctuation is normalised, the text tokenised by Moses, and compounds are
    split at hyphens, in hypothesis and reference alike. The split alone is worth 0.4
    to 1.0 BLEU: the number may be compared with no other kind.

    Raises:
        InputError: where the counts differ or there is nothing to score.

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
    """Returns multi-bleu of detokenised text, after Moses tokenised both sides.

    With `lowercase` it is the protocol of published Multi30k scores; with
    `punctuation="unicode"` and `split_compounds` that of the paper. The arguments are
    those of `MosesRules`.

    Raises:
        InputError: where the counts differ or there is nothing to score.

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


def multi_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Returns BLEU of text that is tokenised already: what multi-bleu prints.

    Raises:
        InputError: where the counts differ or there is nothing to score.
    """
    return bleu(hypotheses, [references], Protocol(tokenizer=None))


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], protocol: Protocol
) -> BleuScore:
    """Returns BLEU by a protocol, against one or several sets of references.

    Raises:
        InputError: where the counts differ or there is nothing to score.
    """
    check_counts(hypotheses, references)
    metric = bleu_metric(protocol)
    score: Any = metric.corpus_score(
        prepare(hypotheses, protocol), [prepare(side, protocol) for side in references]
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
    """Returns sacreBLEU's metric, for text that went through `prepare`."""
    from sacrebleu.metrics import BLEU

    if protocol.tokenizer is not None:
        return BLEU(lowercase=protocol.lowercase, tokenize=protocol.tokenizer)
    # force: the warning about tokenised text is meant for others.
    return BLEU(
        lowercase=protocol.lowercase, tokenize="none", smooth_method="none", force=True
    )


def check_counts(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> None:
    """Checks that every hypothesis has its references, and that there is one.

    Raises:
        InputError: with the counts.
    """
    if isinstance(hypotheses, str) or any(isinstance(side, str) for side in references):
        raise InputError(
            "Hypotheses and references must be lists of sentences, not one string."
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
