"""Loss, perplexity and BLEU of a data split."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import (
    AVERAGE,
    CHECKPOINTS,
    Which,
    averaged_steps,
    checkpoint_dir,
)
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.pipeline import evaluation_batches
from transformer_jax.data.source import from_list, load_pairs
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.errors import InputError
from transformer_jax.loss.evaluation_step import EvaluationStep, make_evaluation_step
from transformer_jax.loss.sums import add_sums, mean_metrics
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.text_metrics.bleu import corpus_bleu, paper_bleu
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.translator import Translator

# Settings of decoding that are told of whatever they are; the others are where they
# have been changed.
_TOLD = ("beam_size", "length_penalty", "length_penalty_alpha", "max_extra_length")


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a model on sentence pairs, and the translations they are of."""

    scores: dict[str, Any]
    sources: list[str]
    references: list[str]
    translations: list[str]


def evaluate(
    workdir: str | os.PathLike[str],
    *,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: Which = "latest",
    pairs: Iterable[tuple[str, str]] | None = None,
    **decoding: Any,
) -> EvaluationResult:
    """Returns the scores of a trained model on sentence pairs; none is left out.

    Scores: `loss`, `nll` and `perplexity` per subword; `bleu` (sacreBLEU), `chrf`,
    `chrf_plus_plus` and `ter`, for English-German `paper_bleu` (tokenised, compounds
    split), each with its signature, as `bleu_signature`; `num_sentences`. What they are
    of: `model`, the name of its directory; `checkpoint`, as asked for; `step`;
    `averaged_steps`, those that an average is of; `ema_decay`. How it translated:
    `beam_size`, `length_penalty`, `length_penalty_alpha`, `max_extra_length`,
    `compute_dtype`, and what other settings of decoding were not the default.

    Args:
        split: which of the data of the run.
        pairs: (source, target) sentences in place of a split.
        decoding: fields of `DecodingConfig` in place of the configured ones.

    Raises:
        InputError: no such checkpoint, or no such data.

    Paper: section 6.1.
    """
    directory = checkpoint_dir(workdir, checkpoint)
    translator = Translator.from_checkpoint(directory)
    config = translator.config
    config = config.replace(decoding=dataclasses.replace(config.decoding, **decoding))
    found = load_pairs(config.data, split) if pairs is None else from_list(pairs)
    if found is None:
        raise InputError(
            f"the run in {workdir} has no {split} data: set data.{split}_source_path "
            f"and data.{split}_target_path, or name two files."
        )
    sources, references = map(list, zip(*found, strict=True))
    translations = translator.translate(sources, **decoding)
    scores = {
        **_loss_of(translator, sources, references),
        **_scores_of_text(translations, references, config.data),
        "num_sentences": len(sources),
        **_origin(directory, checkpoint, config),
        **_said_of_decoding(config.decoding, config.model),
    }
    return EvaluationResult(scores, sources, references, translations)


def _scores_of_text(
    translations: list[str], references: list[str], data: DataConfig
) -> dict[str, Any]:
    quality = translation_quality(translations, [references])
    scores: dict[str, Any] = {
        "bleu": quality.bleu,
        "bleu_signature": quality.signature,
    }
    for metric in ("chrf", "chrf_plus_plus", "ter"):
        for name in (metric, f"{metric}_signature"):
            scores[name] = getattr(quality, name)
    if (data.source_language, data.target_language) == ("en", "de"):
        paper = paper_bleu(translations, references)
        scores |= {"paper_bleu": paper.bleu, "paper_bleu_signature": paper.signature}
    return scores


def _origin(
    directory: StoredPath, checkpoint: Which, config: ExperimentConfig
) -> dict[str, Any]:
    """Returns which parameters were evaluated."""
    averaged = averaged_steps(directory)
    in_workdir = directory.parent.name in (CHECKPOINTS, AVERAGE)
    # A checkpoint that was copied may have any name.
    step = int(directory.name) if directory.name.isdecimal() else None
    return {
        "model": directory.parent.parent.name if in_workdir else directory.name,
        "checkpoint": checkpoint,
        "step": averaged[-1] if averaged else step,
        "averaged_steps": averaged,
        "ema_decay": config.training.ema_decay,
    }


def _said_of_decoding(decoding: DecodingConfig, model: ModelConfig) -> dict[str, Any]:
    said = {
        field.name: getattr(decoding, field.name)
        for field in dataclasses.fields(decoding)
        if field.name in _TOLD or getattr(decoding, field.name) != field.default
    }
    return said | {"compute_dtype": decoding.compute_dtype or model.compute_dtype}


def _loss_of(
    translator: Translator, sources: list[str], references: list[str]
) -> dict[str, float]:
    config, mesh = translator.config, translator.mesh
    # The devices here may be others than those of the training run.
    config = config.replace(data=_divisible(config.data, num_row_groups(mesh)))
    corpus = encode_corpus(sources, references, translator.tokenizer)
    losses = mean_loss(
        make_evaluation_step(config, mesh),
        translator.params,
        split_batches(corpus, config, mesh),
        mesh,
    )
    return {name: losses[name] for name in ("loss", "nll", "perplexity")}


def _divisible(data: DataConfig, devices: int) -> DataConfig:
    """Returns the settings with rows a multiple of the devices."""
    rows = -(-data.rows // devices) * devices
    return dataclasses.replace(data, batch_tokens=rows * data.target_length)


def encode_corpus(
    sources: Sequence[str], references: Sequence[str], tokenizer: Tokenizer
) -> Corpus:
    """Returns a corpus in memory that holds every pair, those with empty sides too."""
    return make_corpus(
        tokenizer.encode_source(sources),
        tokenizer.encode_target(references),
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
    )


def mean_loss(
    evaluation_step: EvaluationStep, params: Any, batches: Iterable[Batch], mesh: Mesh
) -> dict[str, float]:
    """Returns loss, nll and perplexity over all batches, every token weighing alike."""
    totals: dict[str, Any] | None = None
    for batch in batches:
        sums = evaluation_step(params, sharding.make_global(batch, mesh))
        totals = sums if totals is None else add_sums(totals, sums)
    return mean_metrics(jax.device_get(totals))


def split_batches(
    corpus: Corpus, config: ExperimentConfig, mesh: Mesh
) -> Iterable[Batch]:
    """Returns this host's part of batches that hold every pair of a corpus once.

    Raises:
        InputError: as `check_lengths`.
    """
    check_lengths(corpus, config.model)
    return evaluation_batches(
        corpus,
        config.data,
        rows_of_host=functools.partial(sharding.rows_of_host, mesh=mesh),
        row_multiple=num_row_groups(mesh),
    )


def check_lengths(corpus: Corpus, model: ModelConfig) -> None:
    """Checks that the model has a position for every token of a corpus.

    Raises:
        InputError: a sentence is longer than its table of positions.
    """
    limit = max_position(model)
    longest = int(max(corpus.source_lengths.max(), corpus.target_lengths.max()))
    if limit is not None and longest > limit:
        raise InputError(
            f"a sentence to evaluate has {longest} tokens, more than model.max_length="
            f"{limit}: split it, raise that, or use model.positions='sinusoidal'."
        )


def translation_scores(
    translator: Translator, sources: Sequence[str], references: Sequence[str]
) -> dict[str, Any]:
    """Returns BLEU, its signature and chrF of the translations of `sources`."""
    scores = corpus_bleu(translator.translate(sources), references)
    return {
        "bleu": scores.bleu,
        "bleu_signature": scores.signature,
        "chrf": scores.chrf,
    }
