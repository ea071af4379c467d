"""Significance of a difference between two systems, by paired bootstrap."""

from collections.abc import Iterator, Sequence
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
    _check_resamples(resamples, seed)
    system, other = (
        _sentence_counts(metric, side, references) for side in (hypotheses, baseline)
    )
    differences = np.array(
        [
            _score(metric, system[rows]) - _score(metric, other[rows])
            for rows in _resample(len(system), resamples, seed)
        ]
    )
    difference = _score(metric, system) - _score(metric, other)
    sizes = np.abs(differences)
    # Not `>`, as in sacreBLEU: it would give two equal systems the least p, not 1.
    reached = np.count_nonzero(sizes - sizes.mean() >= abs(difference))
    return Comparison(
        score=_score(metric, system),
        baseline=_score(metric, other),
        difference=difference,
        interval=_middle(differences),
        p_value=(reached + 1) / (resamples + 1),
    )


def score_interval(
    metric: "Metric",
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    resamples: int = 1_000,
    seed: int = 12_345,
) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a system's score, by the bootstrap.

    Raises:
        InputError: as `paired_bootstrap`.
    """
    _check_resamples(resamples, seed)
    counts = _sentence_counts(metric, hypotheses, references)
    drawn = _resample(len(counts), resamples, seed)
    return _middle(np.array([_score(metric, counts[rows]) for rows in drawn]))


def ratio_interval(
    numerators: np.ndarray,
    denominators: np.ndarray,
    *,
    resamples: int = 1_000,
    seed: int = 12_345,
) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a sum over a sum, in percent.

    Args:
        numerators: one a sentence.
        denominators: likewise.
    """
    drawn = list(_resample(len(numerators), resamples, seed))
    ratios = [
        numerators[rows].sum() / max(denominators[rows].sum(), 1) for rows in drawn
    ]
    return _middle(100 * np.array(ratios))


def _check_resamples(resamples: int, seed: int) -> None:
    for name, value in ("resamples", resamples), ("seed", seed):
        if not isinstance(value, int):
            raise InputError(f"{name}={value!r} must be an integer.")
    if resamples < 1:
        raise InputError(f"resamples={resamples} must be at least 1.")
    if resamples > _MOST_RESAMPLES:
        raise InputError(f"resamples={resamples} must be at most {_MOST_RESAMPLES}.")
    if seed < 0:
        raise InputError(f"seed={seed} must be at least 0.")


def _resample(size: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields the sentences of each resample."""
    rng = np.random.default_rng(seed)
    return (rng.integers(size, size=size) for _ in range(resamples))


def _sentence_counts(
    metric: "Metric", hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> np.ndarray:
    """Returns the counts of each sentence: those of a set are their sum."""
    # This method and the next are not public, but sacreBLEU's own test of significance
    # depends on the same two.
    statistics = metric._extract_corpus_statistics(hypotheses, references)
    return np.asarray(statistics, np.float64)


def _score(metric: "Metric", counts: np.ndarray) -> float:
    """Returns the score of the sentences with these counts."""
    found: Any = metric._compute_score_from_stats(counts.sum(axis=0).tolist())
    return float(found.score)


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Returns the limits of the middle 95 percent."""
    lower, upper = np.quantile(values, [0.025, 0.975])
    return float(lower), float(upper)
