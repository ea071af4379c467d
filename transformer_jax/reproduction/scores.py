"""The scores of a run as the paper gives them, each with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transformer_jax.config.experiment import DataConfig
from transformer_jax.errors import InputError
from transformer_jax.evaluation.evaluate import EvaluationResult
from transformer_jax.parsing.evalb import evalb
from transformer_jax.parsing.evalb_parameters import EvalbParameters
from transformer_jax.parsing.trees import Tree
from transformer_jax.text_metrics.bleu import bleu, bleu_metric
from transformer_jax.text_metrics.languages import language_code
from transformer_jax.text_metrics.moses import MosesRules
from transformer_jax.text_metrics.protocols import (
    PAPER_EN_DE,
    Protocol,
    make_protocol,
    prepare_text,
)
from transformer_jax.text_metrics.significance import ratio_interval, score_interval
from transformer_jax.tokenizer.tokenizer import Tokenizer

_RESAMPLES = 1_000
MOST_LOSS = 69.0
"""In nats: a perplexity of 1e30. More says no more, and cannot be drawn."""


@dataclass(frozen=True)
class Score:
    """A score of a set of sentences, in percent."""

    name: str
    """How it was computed, in words."""
    value: float
    interval: tuple[float, float]
    """95 % confidence interval, by resampling the sentences."""
    signature: str


def translation_scores(result: EvaluationResult, data: DataConfig) -> list[Score]:
    """Returns BLEU as in the paper, and by sacreBLEU.

    The paper's is that of English-German. For other languages its tokenisation is not
    known: Moses tokenises, and nothing is split. Languages that Moses does not know
    have sacreBLEU's alone.
    """
    language = language_code(data.target_language)
    protocols = {
        "tokenised BLEU, as in the paper": _paper_protocol(data),
        "sacreBLEU": make_protocol("sacrebleu", language=language),
    }
    scores = []
    for name, protocol in protocols.items():
        try:
            scores.append(_bleu_score(name, result, protocol))
        except InputError:
            if protocol.moses is None:
                raise
    return scores


def _paper_protocol(data: DataConfig) -> Protocol:
    source, target = map(language_code, (data.source_language, data.target_language))
    if (source, target) == ("en", "de"):
        return PAPER_EN_DE
    rules = MosesRules(language=target or data.target_language, punctuation="unicode")
    return Protocol(tokenizer=None, moses=rules)


def _bleu_score(name: str, result: EvaluationResult, protocol: Protocol) -> Score:
    found = bleu(result.translations, [result.references], protocol)
    interval = score_interval(
        bleu_metric(protocol),
        prepare_text(result.translations, protocol),
        [prepare_text(result.references, protocol)],
        resamples=_RESAMPLES,
    )
    return Score(name, found.bleu, interval, found.signature)


def parsing_scores(result: EvaluationResult) -> list[Score]:
    """Returns F1 of all brackets, as EVALB counts it."""
    gold, test = (
        [Tree.from_text(text) for text in side]
        for side in (result.references, result.translations)
    )
    scores = evalb(gold, test, EvalbParameters(max_errors=len(gold)))
    counts = np.array([(one.matched, one.gold + one.test) for one in scores.sentences])
    interval = ratio_interval(2 * counts[:, 0], counts[:, 1], resamples=_RESAMPLES)
    return [Score("F1 of EVALB, COLLINS.prm", scores.all.f1, interval, "COLLINS.prm")]


def perplexities(
    nll: float, references: Sequence[str], tokenizer: Tokenizer
) -> dict[str, float]:
    """Returns perplexity per subword, as the paper's, and per word.

    Words are what spaces separate; the end of a sentence counts as one of either. Per
    word, models with other vocabularies may be compared.

    Args:
        nll: mean negative log-likelihood of a subword, in nats.
    """
    pieces = sum(map(len, tokenizer.encode_target(references)))  # Ends are included.
    words = sum(len(reference.split()) + 1 for reference in references)
    return {
        "perplexity_per_subword": _exp(nll),
        "perplexity_per_word": _exp(nll * pieces / words),
    }


def _exp(value: float) -> float:
    return math.exp(min(value, MOST_LOSS))
