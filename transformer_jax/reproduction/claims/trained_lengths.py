"""Section 3.5: sinusoids may reach positions beyond those of training."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.reproduction.claims.report import write_claim
from transformer_jax.reproduction.claims.variants import (
    change,
    train_variants,
    validation_pairs,
)
from transformer_jax.scoring.scores import score_tokens
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.preparation import prepare
from transformer_jax.translation.translator import Translator

_BINS = 4
"""Of each half: of the positions that were trained, and of those beyond."""
_FEWEST_PAIRS = 10


def measure_trained_lengths(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Returns the loss by position, within and beyond the length of training.

    Models with sinusoids and with a learned table are trained on sentences up to half
    of `data.target_length`, and one with a table on all of them. The claim holds if
    beyond the trained length the loss with sinusoids rises less above that of the table
    that was trained there than the loss of the short table does.
    """
    whole = _whole_length(config)
    short = whole // 2
    longest = max(config.model.max_length, whole)
    sinusoids = {"model__positions": "sinusoidal"}
    table = {"model__positions": "learned", "model__max_length": longest}
    # A short run leaves long pairs out; its rows hold as many tokens.
    limits = {"data__source_length": short, "data__target_length": short}
    variants = {
        "sinusoids_short": change(config, **limits, **sinusoids),
        "table_short": change(config, **limits, **table),
        "table_long": change(config, **table),
    }
    # The variants learn the same subwords, of the same text: too few pairs are refused
    # before anything is trained.
    first, *_ = variants
    tokenizer = prepare(variants[first], work_directory(workdir) / first).tokenizer
    ids = _long_pairs(config, tokenizer, short, whole)
    rows: list[dict[str, Any]] = []
    beyond = {}
    for name, translator in train_variants(variants, workdir, progress=progress):
        losses = _loss_by_position(translator, *ids, whole)
        rows += [
            {"positions": name, "position": position, "nll": nll, "trained": inside}
            for position, nll, inside in _mean_losses(losses, short, whole)
        ]
        total, count = losses[:, short:].sum(axis=1)
        beyond[name] = float(total / count)
    by_sinusoids, by_table = (
        beyond[name] - beyond["table_long"]
        for name in ("sinusoids_short", "table_short")
    )
    return write_claim(
        workdir,
        config,
        {
            "claim": "Sinusoids may let the model reach lengths beyond those of "
            "training.",
            "section": "3.5",
            "trained_length": short,
            "holds": by_sinusoids < by_table,
            "verdict": f"Beyond {short} tokens the loss is {by_sinusoids:+.3f} nats "
            f"above that of a table trained on {whole} with sinusoids, {by_table:+.3f} "
            "with a table that was not.",
            "num_sentences": len(ids[0]),
            "rows": rows,
        },
        x="position",
        y=("nll",),
        by="positions",
    )


def _whole_length(config: ExperimentConfig) -> int:
    """Returns the length of training, of both sides.

    Raises:
        InputError: the sides have different ones: the variants have half of it on both.
    """
    source, target = config.data.source_length, config.data.target_length
    if source != target:
        raise InputError(
            f"data.source_length={source} and data.target_length={target} must be the "
            "same here: the variants are trained on half of it, on both sides."
        )
    return target


def _long_pairs(
    config: ExperimentConfig, tokenizer: Tokenizer, short: int, whole: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the token ids of the validation pairs longer than `short`.

    Raises:
        InputError: there are too few.
    """
    sources, targets = zip(*validation_pairs(config), strict=True)
    encoded = zip(
        tokenizer.encode_source(sources), tokenizer.encode_target(targets), strict=True
    )
    kept = [
        (source, target)
        for source, target in encoded
        if short < len(target) <= whole and len(source) <= whole
    ]
    if len(kept) < _FEWEST_PAIRS:
        raise InputError(
            f"{len(kept)} validation pairs have more than {short} target tokens (half "
            f"of data.target_length={whole}), and {_FEWEST_PAIRS} are needed: lower "
            "data.source_length and data.target_length."
        )
    return [source for source, _ in kept], [target for _, target in kept]


def _loss_by_position(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    whole: int,
) -> np.ndarray:
    """Returns the sum and the number of losses at each target position, [2, whole]."""
    sums = np.zeros((2, whole))
    for score in score_tokens(translator, source_ids, target_ids):
        losses = -np.asarray(score.token_log_probs)
        sums[0, : len(losses)] += losses
        sums[1, : len(losses)] += 1
    return sums


def _mean_losses(
    sums: np.ndarray, short: int, whole: int
) -> list[tuple[float, float, bool]]:
    """Returns the middle, the mean loss and whether it was trained, of each bin."""
    edges = [
        *np.linspace(0, short, _BINS + 1).astype(int)[:-1],
        *np.linspace(short, whole, _BINS + 1).astype(int),
    ]
    bins = []
    for start, end in itertools.pairwise(edges):
        total, count = sums[:, start:end].sum(axis=1)
        if count:
            bins.append(
                ((start + end - 1) / 2, float(total / count), bool(end <= short))
            )
    return bins
