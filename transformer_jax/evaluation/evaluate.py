"""Loss, perplexity, BLEU and other metrics of a data split."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

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
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.pipeline import evaluation_batches
from transformer_jax.data.sentence_pairs import from_list
from transformer_jax.data.source import load_pairs
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import decoding_dtypes
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.errors import InputError
from transformer_jax.loss.evaluation_step import EvaluationStep, make_evaluation_step
from transformer_jax.loss.sums import add_sums, mean_metrics
from transformer_jax.model.params import Params
from transformer_jax.progress import Progress
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.text_metrics.bleu import corpus_bleu, paper_bleu
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.position_limit import check_lengths
from transformer_jax.translation.translator import Translator

# Settings of decoding that are always reported; others only where they are changed.
_ALWAYS_REPORTED = (
    "beam_size",
    "length_penalty",
    "length_penalty_alpha",
    "max_extra_length",
)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a model on sentence pairs, with the translations that were scored."""

    scores: dict[str, Any]
    """Plain JSON values; the names are listed in `evaluate`."""
    sources: list[str]
    references: list[str]
    translations: list[str]


@refuse_misspelt_keywords
def evaluate(
    workdir: str | os.PathLike[str],
    *,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: Which = "latest",
    pairs: Iterable[tuple[str, str]] | None = None,
    progress: bool = True,
    **decoding: Unpack[DecodingSettings],
) -> EvaluationResult:
    """Returns the scores of a trained model on every pair of a split.

    Quality: `loss`, `nll` and `perplexity` per subword (nats); `bleu` (sacreBLEU),
    `chrf`, `chrf_plus_plus` and `ter`, and for English-German `paper_bleu` (tokenised,
    compounds split), all in percent, each with its signature, as `bleu_signature`;
    `num_sentences`.
    Model: `model`, the name of its directory; `checkpoint`, the argument; `step`;
    `averaged_steps`, the steps of an averaged checkpoint; `ema_decay`.
    Translation: `beam_size`, `length_penalty`, `length_penalty_alpha`,
    `max_extra_length`, `compute_dtype`, and other decoding settings that differ from
    their default.

    Args:
        workdir: a work directory, or the directory of one checkpoint.
        split: the split of the run's data.
        checkpoint: "latest", "best", "average" or a step.
        pairs: (source, target) sentences in place of a split.
        progress: show progress on standard error.
        decoding: fields of `DecodingConfig` that replace the configured ones.

    Raises:
        InputError: no such checkpoint, no such data, or a decoding setting that is
            unknown or refused.

    Example:
        >>> result = tj.evaluate(workdir, pairs=[("A house.", "Ein Haus.")])
        >>> result.scores["num_sentences"], result.references
        (1, ['Ein Haus.'])

    Paper: section 6.1.
    """
    # A wrong value is refused before a model is loaded. Whether the run samples is not
    # known yet, so settings of sampling are let through.
    DecodingConfig(sampling=True).replace(**decoding)
    directory = checkpoint_dir(workdir, checkpoint)
    translator = Translator.from_checkpoint(directory)
    config = translator.config
    config = config.replace(decoding=config.decoding.replace(**decoding))
    data = load_pairs(config.data, split) if pairs is None else from_list(pairs)
    if data is None:
        raise InputError(
            f"the run in {workdir} has no {split} data: set data.{split}_source_path "
            f"and data.{split}_target_path, or name two files."
        )
    sources, references = map(list, zip(*data, strict=True))
    with Progress(len(sources), "sentences", shown=progress) as shown:
        shown.say("compiling")
        n_best = translator.n_best(sources, 1, on_done=shown.show_done, **decoding)
        translations = [best[0].text for best in n_best]
        shown.show_done(len(sources))
        shown.say("computing the loss and the scores")
        scores = {
            **_corpus_loss(translator, sources, references),
            **_text_scores(translations, references, config.data),
            "num_sentences": len(sources),
            **_checkpoint_report(directory, checkpoint, config),
            **_decoding_report(config, translator.mesh),
        }
        shown.say("")
    return EvaluationResult(scores, sources, references, translations)


def _text_scores(
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


def _checkpoint_report(
    directory: StoredPath, checkpoint: Which, config: ExperimentConfig
) -> dict[str, Any]:
    """Returns scores that tell which parameters were evaluated."""
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


def _decoding_report(config: ExperimentConfig, mesh: Mesh) -> dict[str, Any]:
    decoding = config.decoding
    reported = {
        field.name: getattr(decoding, field.name)
        for field in dataclasses.fields(decoding)
        if field.name in _ALWAYS_REPORTED
        or getattr(decoding, field.name) != field.default
    }
    dtype, _ = decoding_dtypes(config.model, decoding, mesh)
    return reported | {"compute_dtype": dtype}


def _corpus_loss(
    translator: Translator, sources: list[str], references: list[str]
) -> dict[str, float]:
    config, mesh = translator.config, translator.mesh
    # The training run may have had another number of devices.
    config = config.replace(data=_round_up_rows(config.data, num_row_groups(mesh)))
    corpus = encode_corpus(sources, references, translator.tokenizer)
    losses = mean_loss(
        make_evaluation_step(config, mesh),
        translator.params,
        split_batches(corpus, config, mesh),
        mesh,
    )
    return {name: losses[name] for name in ("loss", "nll", "perplexity")}


def _round_up_rows(data: DataConfig, devices: int) -> DataConfig:
    """Returns the settings with rows rounded up to a multiple of the devices."""
    rows = -(-data.rows // devices) * devices
    return dataclasses.replace(data, batch_tokens=rows * data.target_length)


def encode_corpus(
    sources: Sequence[str], references: Sequence[str], tokenizer: Tokenizer
) -> Corpus:
    """Returns a corpus in memory of every pair, including pairs with empty sides."""
    return make_corpus(
        tokenizer.encode_source(sources),
        tokenizer.encode_target(references),
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
    )


def mean_loss(
    evaluation_step: EvaluationStep,
    params: Params,
    batches: Iterable[Batch],
    mesh: Mesh,
) -> dict[str, float]:
    """Returns loss, nll and perplexity: means over all tokens of all batches."""
    totals: dict[str, jax.Array] | None = None
    for batch in batches:
        sums = evaluation_step(params, sharding.make_global(batch, mesh))
        totals = sums if totals is None else add_sums(totals, sums)
    return mean_metrics(jax.device_get(totals))


def split_batches(
    corpus: Corpus, config: ExperimentConfig, mesh: Mesh
) -> Iterable[Batch]:
    """Returns this host's rows of batches that hold every pair of a corpus once.

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


def translation_scores(
    translator: Translator, sources: Sequence[str], references: Sequence[str]
) -> dict[str, float | str | None]:
    """Returns BLEU, its signature and chrF of the translations of `sources`."""
    scores = corpus_bleu(translator.translate(sources), references)
    return {
        "bleu": scores.bleu,
        "bleu_signature": scores.signature,
        "chrf": scores.chrf,
    }
