"""Counts over sentences of how well each head of an attention does each job."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from transformer_jax.attention_pictures.attended_pair import AttendedPair
from transformer_jax.attention_pictures.head_findings import HeadJob
from transformer_jax.attention_pictures.head_jobs import Job


class JobCounts:
    """Sums over the queries of all pairs, for the heads of one attention."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._num_queries = np.zeros(len(jobs), np.int64)
        self._uniform = np.zeros(len(jobs))
        self._hits: np.ndarray | float = 0.0  # [jobs, layers, heads]
        self._weights: np.ndarray | float = 0.0
        self._fixed: list[Counter[tuple[str, int]]] = [Counter() for _ in jobs]

    def add(self, pair: AttendedPair, weights: np.ndarray) -> None:
        """Counts the weights of one pair, `[layers, heads, query, key]`, unpadded."""
        visible = pair.visible()
        masks = np.stack([each.places(pair) for each in self._jobs]) & visible
        # A query that sees nothing but described places has no choice.
        counted = masks.any(-1) & (visible & ~masks).any(-1)
        masks &= counted[:, :, None]
        self._num_queries += counted.sum(-1)
        self._uniform += (masks.sum(-1) / visible.sum(-1)).sum(-1)
        # Of keys that share the largest weight, each counts its part.
        largest = weights == np.where(visible, weights, 0).max(-1, keepdims=True)
        largest &= visible
        shares = largest / largest.sum(-1, keepdims=True)
        self._hits = self._hits + _inside(masks, shares)
        self._weights = self._weights + _inside(masks, weights)
        for fixed, mask in zip(self._fixed, masks, strict=True):
            fixed.update(_fixed_places(mask))

    def rates(self) -> list[list[list[HeadJob]]]:
        """Returns the jobs of each head of each layer that had a query at all."""
        hits, weights = np.asarray(self._hits), np.asarray(self._weights)
        _, num_layers, num_heads = hits.shape
        return [
            [
                [
                    self._rate(job, hits[job, layer, head], weights[job, layer, head])
                    for job in np.flatnonzero(self._num_queries).tolist()
                ]
                for head in range(num_heads)
            ]
            for layer in range(num_layers)
        ]

    def _rate(self, index: int, hits: float, weight: float) -> HeadJob:
        job, number = self._jobs[index], int(self._num_queries[index])
        fixed = max(self._fixed[index].values()) / number
        return HeadJob(
            name=job.name,
            rate=float(hits / number),
            mean_weight=float(weight / number),
            uniform_rate=float(self._uniform[index] / number),
            positional_rate=None if job.is_positional else fixed,
            num_queries=number,
        )


def _inside(masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the sums of the values at described places, [jobs, layers, heads]."""
    sums: np.ndarray = np.tensordot(
        masks.astype(np.float64), values.astype(np.float64), axes=((1, 2), (2, 3))
    )
    return sums


def _fixed_places(mask: np.ndarray) -> Counter[tuple[str, int]]:
    """Returns how many queries each fixed place is right for.

    A place is fixed by its distance from the query, from the first or the last key.
    """
    queries, keys = np.nonzero(mask)
    found: Counter[tuple[str, int]] = Counter()
    for origin, places in (
        ("query", keys - queries),
        ("first", keys),
        ("last", keys - mask.shape[1]),
    ):
        values, counts = np.unique(places, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            found[origin, value] = count
    return found
