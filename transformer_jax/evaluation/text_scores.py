"""Scores of translations by the languages of their text."""

from dataclasses import dataclass
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.languages import find_languages
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.text_metrics.bleu import paper_bleu
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.text_metrics.tokenizers import (
    SacrebleuTokenizer,
    check_tokenizer,
    tokenizer_of_language,
)


@dataclass(frozen=True)
class Scoring:
    """How translations of a text are scored."""

    tokenizer: SacrebleuTokenizer
    by_paper: bool
    """The paper's BLEU too, which is for English-German alone."""


def choose_scoring(
    config: ExperimentConfig, data: SentencePairs, tokenizer: SacrebleuTokenizer | None
) -> Scoring:
    """Returns how a text is scored; warns if its files contradict the settings.

    Args:
        tokenizer: of sacreBLEU. None = that of the settings, or of the language.

    Raises:
        InputError: the tokenizer needs packages that are missing.
    """
    languages = find_languages(config.data, data.files, config.data.files("train"))
    languages.warn()
    by_language = tokenizer_of_language(languages.target.code)
    tokenizer = tokenizer or config.training.bleu_tokenizer or by_language
    check_tokenizer(tokenizer)
    return Scoring(tokenizer, by_paper=languages.are("en", "de"))


def text_scores(
    translations: list[str], references: list[str], scoring: Scoring
) -> dict[str, Any]:
    """Returns BLEU, chrF, chrF++ and TER in percent, each with its signature."""
    quality = translation_quality(
        translations, [references], tokenizer=scoring.tokenizer
    )
    scores: dict[str, Any] = {
        "bleu": quality.bleu,
        "bleu_signature": quality.signature,
    }
    for metric in ("chrf", "chrf_plus_plus", "ter"):
        for name in (metric, f"{metric}_signature"):
            scores[name] = getattr(quality, name)
    if scoring.by_paper:
        paper = paper_bleu(translations, references)
        scores |= {"paper_bleu": paper.bleu, "paper_bleu_signature": paper.signature}
    return scores
