"""Whether one system is better than another, or only luckier in its sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


@dataclass(frozen=True)
class Comparison:
    """A system and a baseline by one metric, with what resampling says of them."""

    score: float
    baseline: float
    difference: float
    """The system's score less the baseline's."""
    interval: tuple[float, float]
    """Of the difference: 95 in 100 resamples of the sentences have it in here."""
    p_value: float
    """How often chance would make a difference as large of two equal systems."""


def paired_bootstrap(
    metric: "Metric",
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    resamples: int = 1_000,
    seed: int = 12_345,
) -> Comparison:
    """Returns the comparison of two systems on resamples of their sentences.

    Each resample draws as many sentences as there are, with replacement, the same for
    both systems (Koehn, 2004). Samples and p-value are those of sacreBLEU's own paired
    bootstrap under the same seed; that one has no interval of the difference.

    Raises:
        InputError: fewer than one resample.
    """
    if resamples < 1:
        raise InputError(f"resamples={resamples} must be at least 1.")
    # The counts of each sentence, which add up to those of any set of sentences. That
    # they are not public does no harm: sacreBLEU's own test of significance stands on
    # the same two methods.
    system, other = (
        np.asarray(metric._extract_corpus_statistics(side, references), np.float64)
        for side in (hypotheses, baseline)
    )

    def score(counts: np.ndarray) -> float:
        found: Any = metric._compute_score_from_stats(counts.sum(axis=0).tolist())
        return found.score

    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(system), size=len(system)) for _ in range(resamples))
    differences = np.array([score(system[rows]) - score(other[rows]) for rows in drawn])
    difference = score(system) - score(other)
    sizes = np.abs(differences)
    # At least: two equal systems have p = 1, which sacreBLEU gives its least.
    reached = np.count_nonzero(sizes - sizes.mean() >= abs(difference))
    lower, upper = np.quantile(differences, [0.025, 0.975])
    return Comparison(
        score=score(system),
        baseline=score(other),
        difference=difference,
        interval=(float(lower), float(upper)),
        p_value=(reached + 1) / (resamples + 1),
    )
