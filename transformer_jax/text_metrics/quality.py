"""Quality of translations: BLEU by a protocol, chrF and TER, beside a baseline."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformer_jax.text_metrics.bleu import BleuScore, bleu, bleu_metric, check_counts
from transformer_jax.text_metrics.protocols import (
    Protocol,
    ProtocolName,
    make_protocol,
    prepare_text,
)
from transformer_jax.text_metrics.significance import Comparison, paired_bootstrap
from transformer_jax.text_metrics.tokenizers import SacrebleuTokenizer

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality(BleuScore):
    """Scores of a set of translations, in percent.

    chrF, chrF++ and TER are those of the original text; only BLEU depends on the
    protocol. TER is better when it is lower, and may be more than 100.
    """

    protocol: str
    chrf: float
    chrf_signature: str
    chrf_plus_plus: float
    chrf_plus_plus_signature: str
    ter: float
    ter_signature: str
    num_sentences: int
    num_references: int
    """References of each sentence."""
    comparison: dict[str, Comparison] | None = None
    """With the baseline, by metric."""
    resamples: int | None = None
    seed: int | None = None


def translation_quality(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    protocol: ProtocolName = "sacrebleu",
    baseline: Sequence[str] | None = None,
    resamples: int = 1_000,
    seed: int = 12_345,
    tokenizer: SacrebleuTokenizer | None = None,
    lowercase: bool = False,
    language: str | None = None,
) -> Quality:
    """Returns BLEU by a protocol, chrF, chrF++ and TER of translations, in percent.

    Args:
        references: one or several sets, each with a sentence for every hypothesis.
        baseline: translations of the same sentences by another system, for a paired
            bootstrap test.
        resamples: number of resamples of that test.
        seed: of the resamples.
        tokenizer: of sacreBLEU; None = that of the language.
        lowercase: for the protocols sacrebleu and multi-bleu.
        language: of the translations, for the tokenizer of the protocol sacrebleu (see
            `corpus_bleu`), and for the protocol multi30k.

    Raises:
        InputError: the numbers of sentences differ or are 0, an option does not belong
            to the protocol, or the tokenizer needs packages that are missing.

    Example:
        >>> texts = ["Ein Hund schläft auf der Straße."]
        >>> quality = tj.translation_quality(texts, [texts])
        >>> round(quality.bleu), round(quality.ter)
        (100, 0)
    """
    made = make_protocol(
        protocol, tokenizer=tokenizer, lowercase=lowercase, language=language
    )
    score = bleu(hypotheses, references, made)
    scores: dict[str, Any] = dataclasses.asdict(score)
    for name, metric in _metrics_of_text(made).items():
        scores[name] = metric.corpus_score(hypotheses, references).score
        scores[f"{name}_signature"] = str(metric.get_signature())
    if baseline is not None:
        check_counts(baseline, references)
        settings = {"resamples": resamples, "seed": seed}
        scores |= settings
        scores["comparison"] = _compare(
            hypotheses, baseline, references, made, **settings
        )
    return Quality(
        **scores,
        protocol=protocol,
        num_sentences=len(hypotheses),
        num_references=len(references),
    )


def _metrics_of_text(protocol: Protocol) -> dict[str, "Metric"]:
    """Returns the metrics that read the original text, not the tokens of BLEU."""
    from sacrebleu.metrics import CHRF, TER

    return {
        "chrf": CHRF(lowercase=protocol.lowercase),
        "chrf_plus_plus": CHRF(lowercase=protocol.lowercase, word_order=2),
        "ter": TER(),  # As Tercom: in lower case, tokens separated by spaces.
    }


def _compare(
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    protocol: Protocol,
    **settings: Any,
) -> dict[str, Comparison]:
    """Returns the comparison with the baseline by each metric."""
    compared = {
        "bleu": paired_bootstrap(
            bleu_metric(protocol),
            prepare_text(hypotheses, protocol),
            prepare_text(baseline, protocol),
            [prepare_text(side, protocol) for side in references],
            **settings,
        )
    }
    for name, metric in _metrics_of_text(protocol).items():
        compared[name] = paired_bootstrap(
            metric, hypotheses, baseline, references, **settings
        )
    return compared
