"""Significance of a difference between two systems, by paired bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

_MOST_RESAMPLES = 10_000_000  # Each has a number in memory.


@dataclass(frozen=True)
class Comparison:
    """A system and a baseline by one metric, compared on resamples."""

    score: float
    baseline: float
    difference: float
    """The system's score minus the baseline's."""
    interval: tuple[float, float]
    """95 % confidence interval of the difference."""
    p_value: float
    """Probability of a difference this large between two equal systems."""


def paired_bootstrap(
    metric: "Metric",
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    resamples: int = 1_000,
    seed: int = 12_345,
) -> Comparison:
    """Compares two systems on resamples of their sentences.

    Each resample draws the number of sentences of the set with replacement, the same
    for both systems (Koehn, 2004). Samples and p-value are those of sacreBLEU's paired
    bootstrap with the same seed, which has no interval of the difference.

    Raises:
        InputError: `resamples` is less than 1 or more than can be held, or `seed`
            is less than 0.
    """
    for name, value in ("resamples", resamples), ("seed", seed):
        if not isinstance(value, int):
            raise InputError(f"{name}={value!r} must be an integer.")
    if resamples < 1:
        raise InputError(f"resamples={resamples} must be at least 1.")
    if resamples > _MOST_RESAMPLES:
        raise InputError(f"resamples={resamples} must be at most {_MOST_RESAMPLES}.")
    if seed < 0:
        raise InputError(f"seed={seed} must be at least 0.")
    # Counts of each sentence: the counts of a set are their sum. The methods are not
    # public, but sacreBLEU's own test of significance depends on the same two.
    system, other = (
        np.asarray(metric._extract_corpus_statistics(side, references), np.float64)
        for side in (hypotheses, baseline)
    )

    def score(counts: np.ndarray) -> float:
        found: Any = metric._compute_score_from_stats(counts.sum(axis=0).tolist())
        return float(found.score)

    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(system), size=len(system)) for _ in range(resamples))
    differences = np.array([score(system[rows]) - score(other[rows]) for rows in drawn])
    difference = score(system) - score(other)
    sizes = np.abs(differences)
    # Not `>`, as in sacreBLEU: it would give two equal systems the least p, not 1.
    reached = np.count_nonzero(sizes - sizes.mean() >= abs(difference))
    lower, upper = np.quantile(differences, [0.025, 0.975])
    return Comparison(
        score=score(system),
        baseline=score(other),
        difference=difference,
        interval=(float(lower), float(upper)),
        p_value=(reached + 1) / (resamples + 1),
    )
