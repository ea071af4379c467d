"""Loss, perplexity and BLEU of a data split."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from transformer_jax import metrics, sharding
from transformer_jax.config import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.pipeline import evaluation_batches
from transformer_jax.evaluation.bleu import corpus_bleu
from transformer_jax.training.step import EvaluationStep
from transformer_jax.translation import Translator


def mean_loss(
    evaluation_step: EvaluationStep, params: Any, batches: Iterable[Batch], mesh: Mesh
) -> dict[str, float]:
    """Returns loss, nll and perplexity over all batches, each token weighing the same."""
    totals: dict[str, Any] | None = None
    for batch in batches:
        sums = evaluation_step(params, sharding.make_global(batch, mesh))
        totals = sums if totals is None else metrics.merge(totals, sums)
    return metrics.summarize(jax.device_get(totals))


def split_batches(
    corpus: Corpus, config: ExperimentConfig, mesh: Mesh
) -> Iterable[Batch]:
    """Returns this host's part of batches that hold every pair of a corpus once."""
    return evaluation_batches(
        corpus,
        config.data,
        host=jax.process_index(),
        num_hosts=jax.process_count(),
        row_multiple=mesh.shape[sharding.DATA],
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
