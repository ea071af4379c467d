"""Metrics of several corpora: numbers of each under its name, as `loss/de`."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformer_jax.config.data import DataConfig
from transformer_jax.data.pipeline import RowOrder
from transformer_jax.loss.corpus_sums import BY_CORPUS


def name_corpora(report: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Returns the metrics of an update as floats; an array has a number a corpus."""
    values = {}
    for metric, value in report.items():
        if metric.endswith(BY_CORPUS):
            of_all = metric.removesuffix(BY_CORPUS)
            for name, one in zip(names, value, strict=True):
                values[f"{of_all}/{name}"] = float(one)
        else:
            values[metric] = float(value)
    return values


def epochs_by_name(order: RowOrder, step: int, data: DataConfig) -> dict[str, float]:
    """Returns the epochs that are complete before an update, also of each corpus."""
    epochs = {"epoch": order.epoch_of(step)}
    of_corpora = order.corpus_epochs(step)
    names = data.corpus_names if of_corpora else ()
    for name, epoch in zip(names, of_corpora, strict=True):
        epochs[f"epoch/{name}"] = epoch
    return epochs
