"""The loss of each of several corpora, whose rows share a batch."""

import jax.numpy as jnp
from jaxtyping import Array

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.loss.cross_entropy import CorpusLossSums, LossSums, sum_by_corpus

BY_CORPUS = "_by_corpus"
"""The end of the name of a metric that is an array, float32 [corpora]."""


def rows_by_corpus(config: ExperimentConfig, batch: Batch) -> Array | None:
    """Returns bool [rows, corpora], True in the column of the corpus of a row.

    None where there is one corpus, or the batch does not say.
    """
    num_corpora = len(config.data.corpora)
    if num_corpora < 2 or batch.corpus is None:
        return None
    corpora: Array = batch.corpus[:, None] == jnp.arange(num_corpora)[None]
    return corpora


def corpus_means(
    config: ExperimentConfig, batch: Batch, sums: LossSums | CorpusLossSums
) -> dict[str, Array]:
    """Returns loss and nll a target token, and target tokens, of each corpus.

    Nothing where the sums are not by corpus. The mean of a corpus that is not in the
    batch is 0.
    """
    rows = rows_by_corpus(config, batch)
    if rows is None or not isinstance(sums, CorpusLossSums):
        return {}
    counts = jnp.sum(batch.target_segments != 0, axis=1, dtype=jnp.float32)
    tokens = sum_by_corpus(counts, rows)
    loss, nll = sums.by_corpus / jnp.maximum(tokens, 1.0)[None]
    return {
        f"loss{BY_CORPUS}": loss,
        f"nll{BY_CORPUS}": nll,
        f"target_tokens{BY_CORPUS}": tokens,
    }
