"""Validation during training: loss and translations of the validation text."""

import dataclasses
import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.languages import find_languages
from transformer_jax.data.prepare import PreparedData
from transformer_jax.data.tree_pairs import TreePairs
from transformer_jax.evaluation.corpus_loss import mean_loss, split_batches
from transformer_jax.evaluation.evaluate import translation_scores
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.parser.parser import Parser
from transformer_jax.parser.tree_scores import parse_and_score
from transformer_jax.text_metrics.tokenizers import (
    DetokenizedTextTokenizer,
    check_tokenizer,
    tokenizer_of_language,
)
from transformer_jax.training.ending import NonFiniteError
from transformer_jax.training.state import TrainState
from transformer_jax.translation.translator import Translator


def validation_tokenizer(config: ExperimentConfig) -> DetokenizedTextTokenizer:
    """Returns the tokenizer that validation takes BLEU of.

    It is the one of the settings; where they name none, that of the target language.
    """
    texts = config.data.files("validation"), config.data.files("train")
    languages = find_languages(config.data, *texts)
    chosen = config.training.bleu_tokenizer
    return chosen or tokenizer_of_language(languages.target.code)


def check_validation_tokenizer(config: ExperimentConfig) -> None:
    """Checks that validation will be able to take BLEU, hours before it does.

    Raises:
        InputError: packages are missing for it.
    """
    if config.training.validation_bleu_sentences != 0:
        check_tokenizer(validation_tokenizer(config), "training.bleu_tokenizer")


class Validation:
    """Evaluates states of a run on its validation text, always in the same way."""

    def __init__(self, config: ExperimentConfig, mesh: Mesh, data: PreparedData):
        self._config, self._mesh, self._data = config, mesh, data
        self._step = make_evaluation_step(config, mesh)
        self._tokenizer = validation_tokenizer(config)

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
        if self._config.treebank.is_used:
            measured_by["treebank"] = dataclasses.asdict(self._config.treebank)
        text = json.dumps(measured_by, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def evaluate(
        self, state: TrainState, on_done: Callable[[object], None]
    ) -> dict[str, Any]:
        """Returns losses, BLEU and chrF of a state; of a parser, what EVALB finds.

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
        batches = split_batches(
            data.validation, self._config, self._mesh, data.tokenizer
        )
        results: dict[str, Any] = mean_loss(
            self._step, state.final_params, batches, self._mesh, on_done=on_done
        )
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
            pairs = list(itertools.islice(data.validation_pairs, limit))
            sources, references = zip(*pairs, strict=True)
            results |= translation_scores(
                translator, sources, references, self._tokenizer, on_done=on_done
            )
        return {**results, "seconds": time.perf_counter() - started}
