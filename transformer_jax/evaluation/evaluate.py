"""Loss, perplexity and BLEU of a data split."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
from jax.sharding import Mesh

from transformer_jax import metrics, sharding
from transformer_jax.checkpoint import Which, checkpoint_dir
from transformer_jax.config import DataConfig, ExperimentConfig, ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.pipeline import evaluation_batches
from transformer_jax.data.source import from_list, load_pairs
from transformer_jax.data.tokenizer import Tokenizer
from transformer_jax.errors import InputError
from transformer_jax.evaluation.bleu import corpus_bleu, paper_bleu
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.training.step import EvaluationStep, make_evaluation_step
from transformer_jax.translation import Translator


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
    """Returns loss, perplexity, BLEU and chrF of a trained model; no pair is left out.

    Scores: `loss`, `nll`, `perplexity` (per subword), `bleu` (sacreBLEU) with
    `bleu_signature`, `chrf`, for English-German `paper_bleu` (tokenised, compounds
    split), `num_sentences`, `step`, `checkpoint`.

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
    data = translator.config.data
    found = load_pairs(data, split) if pairs is None else from_list(pairs)
    if found is None:
        raise InputError(
            f"the run in {workdir} has no {split} data: set data.{split}_source_path "
            f"and data.{split}_target_path, or name two files."
        )
    sources, references = map(list, zip(*found, strict=True))
    translations = translator.translate(sources, **decoding)
    scores = corpus_bleu(translations, references)
    results: dict[str, Any] = {
        **_loss_of(translator, sources, references),
        "bleu": scores.bleu,
        "bleu_signature": scores.signature,
        "chrf": scores.chrf,
    }
    if (data.source_language, data.target_language) == ("en", "de"):
        results["paper_bleu"] = paper_bleu(translations, references).bleu
    results |= {
        "num_sentences": len(sources),
        # A checkpoint that was copied may have any name.
        "step": int(directory.name) if directory.name.isdecimal() else None,
        "checkpoint": checkpoint,
    }
    return EvaluationResult(results, sources, references, translations)


def _loss_of(
    translator: Translator, sources: list[str], references: list[str]
) -> dict[str, float]:
    config, mesh = translator.config, translator.mesh
    # The devices here may be others than those of the training run.
    config = config.replace(data=_divisible(config.data, sharding.num_row_groups(mesh)))
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
        totals = sums if totals is None else metrics.merge(totals, sums)
    return metrics.summarize(jax.device_get(totals))


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
        row_multiple=sharding.num_row_groups(mesh),
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
