"""What was found out about attention heads."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from transformer_jax.attention_pictures.attended_pair import AttentionKind

_SHOWN = 20


@dataclass(frozen=True)
class HeadJob:
    """How well a head does a job: rates between 0 and 1.

    Example:
        >>> job = tj.HeadJob("previous piece", 0.9, 0.8, 0.1, None, 10_000)
        >>> round(job.margin, 2)
        0.79
    """

    name: str
    rate: float
    """Share of the queries whose largest weight is at a described place."""
    mean_weight: float
    """Mean over the queries of the weight that the described places have together."""
    uniform_rate: float
    """The rate of a head that attends to everything equally."""
    positional_rate: float | None
    """The rate of the best head that always attends to one place: at a distance from
    the query, or from the first or the last key. None for jobs that are of that kind
    themselves."""
    num_queries: int
    """Queries that see a described place, and another one."""

    @property
    def margin(self) -> float:
        """How far the rate is above both others, less 1 / sqrt(num_queries).

        That is at least twice the standard error of a rate of independent queries: what
        was seen a few times only is not remarkable.
        """
        baseline = max(self.uniform_rate, self.positional_rate or 0.0)
        return self.rate - baseline - 1 / math.sqrt(self.num_queries)


@dataclass(frozen=True)
class AttentionHead:
    """A head with its jobs.

    Example:
        >>> head = tj.find_heads(workdir, pairs=pairs[:2], progress=False).heads[0]
        >>> head.kind, head.layer, head.head
        ('encoder', 0, 0)
    """

    kind: AttentionKind
    layer: int
    """Counted from 0, as the head is."""
    head: int
    jobs: tuple[HeadJob, ...]
    """All jobs that had a query, by margin, the largest first."""


class FoundJob(NamedTuple):
    """A job and the head that does it."""

    head: AttentionHead
    job: HeadJob


@dataclass(frozen=True)
class HeadFindings:
    """The heads of a model with what they do; `str(findings)` is a table.

    Example:
        >>> found = tj.find_heads(workdir, pairs=pairs[:2], progress=False)
        >>> found.num_pairs, len(found.strongest(3))
        (2, 3)
    """

    heads: tuple[AttentionHead, ...]
    """Encoder, decoder, cross-attention; by layer and head."""
    num_pairs: int
    """Pairs that were measured."""
    num_left_out: int
    """Pairs with an empty side, or longer than those of training."""

    def strongest(self, number: int = _SHOWN) -> list[FoundJob]:
        """Returns the best job of each head, by margin, of so many heads at most."""
        best = [FoundJob(head, head.jobs[0]) for head in self.heads if head.jobs]
        return sorted(best, key=lambda found: -found.job.margin)[:number]

    def __str__(self) -> str:
        lines = [
            f"{'attention':9} {'layer':>5} {'head':>4}  {'job':31} {'rate':>5} "
            f"{'weight':>6} {'uniform':>7} {'fixed':>5} {'queries':>7}"
        ]
        for head, job in self.strongest():
            fixed = job.positional_rate
            lines.append(
                f"{head.kind:9} {head.layer:5} {head.head:4}  {job.name:31} "
                f"{job.rate:5.2f} {job.mean_weight:6.2f} {job.uniform_rate:7.2f} "
                f"{'-' if fixed is None else f'{fixed:.2f}':>5} {job.num_queries:7}"
            )
        return "\n".join(lines)
