"""The mean loss of a model on a text."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import jax
from jax.sharding import Mesh

from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.pipeline import evaluation_batches
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.devices.one_at_a_time import wait_on_cpus
from transformer_jax.evaluation.long_corpus_pairs import split_long_corpus_pairs
from transformer_jax.loss.evaluation_step import EvaluationStep, make_evaluation_step
from transformer_jax.loss.sums import add_sums, mean_metrics
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.translator import Translator


def corpus_loss(
    translator: Translator, sources: list[str], references: list[str]
) -> dict[str, float]:
    """Returns loss, nll and perplexity of a model on pairs, per target token."""
    config, mesh = translator.config, translator.mesh
    # The training run may have had another number of devices, and others.
    config = config.replace(
        model=dataclasses.replace(config.model, attention_kernel=None),
        data=_round_up_rows(config.data, num_row_groups(mesh)),
    )
    corpus = encode_corpus(sources, references, translator.tokenizer)
    losses = mean_loss(
        make_evaluation_step(config, mesh),
        translator.params,
        split_batches(corpus, config, mesh, translator.tokenizer),
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
    on_done: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Returns loss, nll and perplexity: means over all tokens of all batches.

    Args:
        on_done: called with the number of batches done, after each.
    """
    return mean_metrics(sum_losses(evaluation_step, params, batches, mesh, on_done))


def sum_losses(
    evaluation_step: EvaluationStep,
    params: Params,
    batches: Iterable[Batch],
    mesh: Mesh,
    on_done: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Returns the sums of the losses and the counts of tokens over all batches.

    The arguments are those of `mean_loss`.
    """
    totals: dict[str, jax.Array] | None = None
    for number, batch in enumerate(batches, start=1):
        rows = sharding.make_global(batch, mesh)
        wait_on_cpus(totals, mesh)
        sums = evaluation_step(params, rows)
        totals = sums if totals is None else add_sums(totals, sums)
        if on_done is not None:
            on_done(number)
    fetched: dict[str, float] = jax.device_get(totals)
    return fetched


def split_batches(
    corpus: Corpus, config: ExperimentConfig, mesh: Mesh, tokenizer: Tokenizer
) -> Iterable[Batch]:
    """Returns this host's rows of batches that hold every pair of a corpus once.

    Pairs that are too long are there in parts.

    Raises:
        InputError: as `split_long_corpus_pairs`.
    """
    return evaluation_batches(
        split_long_corpus_pairs(corpus, config, tokenizer),
        config.data,
        rows_of_host=functools.partial(sharding.rows_of_host, mesh=mesh),
        row_multiple=num_row_groups(mesh),
    )
