"""Validation during training: loss and translations of the validation text."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.corpora import settings_of_text
from transformer_jax.data.languages import find_languages
from transformer_jax.data.prepare import PreparedData
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.data.tree_pairs import TreePairs
from transformer_jax.evaluation.corpus_loss import split_batches, sum_losses
from transformer_jax.evaluation.evaluate import translation_scores
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.loss.sums import add_sums, mean_metrics
from transformer_jax.parser.parser import Parser
from transformer_jax.parser.tree_scores import parse_and_score
from transformer_jax.text_metrics.tokenizers import (
    DetokenizedTextTokenizer,
    SacrebleuTokenizer,
    check_tokenizer,
    tokenizer_of_language,
)
from transformer_jax.training.ending import NonFiniteError
from transformer_jax.training.state import TrainState
from transformer_jax.translation.translator import Translator


def validation_tokenizer(
    config: ExperimentConfig, corpus: str | None = None
) -> DetokenizedTextTokenizer:
    """Returns the tokenizer that validation takes BLEU of.

    It is the one of the settings; where they name none, that of the target language.

    Args:
        corpus: one of several corpora. None = there is one text.
    """
    data = settings_of_text(config.data, corpus)
    languages = find_languages(data, data.files("validation"), data.files("train"))
    chosen = config.training.bleu_tokenizer
    return chosen or tokenizer_of_language(languages.target.code)


def check_validation_tokenizer(config: ExperimentConfig) -> None:
    """Checks that validation will be able to take BLEU, hours before it does.

    Raises:
        InputError: packages are missing for it.
    """
    if config.training.validation_bleu_sentences != 0:
        for name in config.data.corpus_names or (None,):
            tokenizer = validation_tokenizer(config, name)
            check_tokenizer(tokenizer, "training.bleu_tokenizer")


class Validation:
    """Evaluates states of a run on its validation text, always in the same way."""

    def __init__(self, config: ExperimentConfig, mesh: Mesh, data: PreparedData):
        self._config, self._mesh, self._data = config, mesh, data
        self._step = make_evaluation_step(config, mesh)
        self._tokenizer = validation_tokenizer(config)
        pairs = data.validation_pairs
        self._names = () if pairs is None else pairs.corpus_names

    def yardstick(self) -> str:
        """Returns a digest of text and settings: results of one can be compared."""
        training = self._config.training
        decoding = dataclasses.asdict(self._config.decoding)
        if not decoding["forbidden_tokens"]:  # As before there was this setting.
            del decoding["forbidden_tokens"]
        measured_by = {
            "text": self._data.validation_text,
            "sentences": training.validation_bleu_sentences,
            "decoding": decoding,
            "label_smoothing": training.label_smoothing,
        }
        if self._tokenizer != "13a":  # Which all had before there was a choice.
            measured_by["tokenizer"] = self._tokenizer
        if self._names:
            measured_by["tokenizer"] = {
                name: validation_tokenizer(self._config, name) for name in self._names
            }
        if self._config.treebank.is_used:
            measured_by["treebank"] = dataclasses.asdict(self._config.treebank)
        text = json.dumps(measured_by, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def evaluate(
        self, state: TrainState, on_done: Callable[[object], None]
    ) -> dict[str, Any]:
        """Returns losses, BLEU and chrF of a state; of a parser, what EVALB finds.

        Of several corpora also those of each, as `bleu/de`. The loss is then that of
        all their tokens; BLEU and chrF are the means of theirs.

        Args:
            on_done: called after every batch and every few sentences, in every process
                as often; what it raises ends the evaluation.

        Raises:
            NonFiniteError: the loss is not a number.
        """
        data = self._data
        assert data.validation is not None
        assert data.validation_pairs is not None
        started = time.perf_counter()
        results = self._losses(state, on_done)
        if not math.isfinite(results["loss"]):
            raise NonFiniteError(
                f"the validation loss is {results['loss']} at step {int(state.step)}: "
                "go back with --from-step, and lower optimizer.learning_rate_scale or "
                "raise optimizer.warmup_steps."
            )
        limit = self._config.training.validation_bleu_sentences
        if limit != 0:
            translator = Translator(
                self._config, state.final_params, data.tokenizer, self._mesh
            )
            if isinstance(data.validation_pairs, TreePairs):
                gold = data.validation_pairs.trees[:limit]
                _, scores = parse_and_score(Parser(translator), gold, on_done=on_done)
                return {**results, **scores, "seconds": time.perf_counter() - started}
            results |= self._scores(translator, limit, on_done)
        return {**results, "seconds": time.perf_counter() - started}

    def _losses(
        self, state: TrainState, on_done: Callable[[object], None]
    ) -> dict[str, Any]:
        """Returns loss, nll and perplexity, and loss and nll of each corpus."""
        data = self._data
        assert data.validation is not None
        sums = [
            sum_losses(
                self._step,
                state.final_params,
                split_batches(part, self._config, self._mesh, data.tokenizer),
                self._mesh,
                on_done=on_done,
            )
            for part in data.validation.separate()
        ]
        results = mean_metrics(functools.reduce(add_sums, sums))
        for name, of_corpus in zip(self._names, sums, strict=bool(self._names)):
            means = mean_metrics(of_corpus)
            results |= {f"{metric}/{name}": means[metric] for metric in ("loss", "nll")}
        return results

    def _scores(
        self,
        translator: Translator,
        limit: int | None,
        on_done: Callable[[object], None],
    ) -> dict[str, Any]:
        """Returns BLEU and chrF of the first sentences, of those of each corpus."""
        pairs = self._data.validation_pairs
        assert pairs is not None

        def scores_of(
            text: SentencePairs, tokenizer: SacrebleuTokenizer
        ) -> dict[str, Any]:
            sides = zip(*itertools.islice(text, limit), strict=True)
            sources, references = sides
            return translation_scores(
                translator, sources, references, tokenizer, on_done=on_done
            )

        if not self._names:
            return scores_of(pairs, self._tokenizer)
        results: dict[str, Any] = {}
        for name, text in zip(self._names, pairs.corpora, strict=True):
            found = scores_of(text, validation_tokenizer(self._config, name))
            results |= {f"{metric}/{name}": value for metric, value in found.items()}
        for metric in ("bleu", "chrf"):
            values = [results[f"{metric}/{name}"] for name in self._names]
            results[metric] = sum(values) / len(values)
        return results
