"""The numbers of the paper that a run can be compared with."""

import difflib
from dataclasses import dataclass
from typing import Literal, TypeAlias

from transformer_jax.errors import InputError

Split: TypeAlias = Literal["validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One result of the paper, and how its run differs from the defaults.

    Example:
        >>> from transformer_jax.reproduction.targets import find_target
        >>> find_target("table2-big-en-de").paper_score
        28.4
    """

    name: str
    config: str
    """Name of its configuration."""
    table: str
    split: Split
    test_set: str
    num_sentences: int
    """Of the test set."""
    num_averaged: int
    """Checkpoints that are averaged; 1 = the last one as it is."""
    update_seconds: float
    """Of the authors' training, whose checkpoints were 10 minutes apart."""
    paper_score: float
    """BLEU or F1, in percent."""
    paper_perplexity: float | None = None
    """Per subword."""
    paper_parameters: float | None = None
    """In millions."""
    paper_flops: float | None = None
    """Of training."""

    @property
    def is_parsing(self) -> bool:
        """Whether its score is the F1 of a parser."""
        return self.table == "Table 4"

    @property
    def checkpoint_steps(self) -> int:
        """The updates that the authors made in 10 minutes."""
        return round(600 / self.update_seconds)


# Section 5.2: an update took 0.4 s of base and 1.0 s of big.
_BASE_SECONDS, _BIG_SECONDS = 0.4, 1.0


def _table_2(size: str, pair: str, bleu: float) -> Target:
    is_big = size == "big"
    return Target(
        name=f"table2-{size}-{pair}",
        config=f"wmt14_{pair.replace('-', '_')}_{size}",
        table="Table 2",
        split="test",
        test_set="newstest2014",
        num_sentences=3_003,
        num_averaged=20 if is_big else 5,
        update_seconds=_BIG_SECONDS if is_big else _BASE_SECONDS,
        paper_score=bleu,
        paper_flops=2.3e19 if is_big else 3.3e18,
    )


def _table_3(
    row: str, perplexity: float, bleu: float, parameters: float | None = None
) -> Target:
    return Target(
        name=f"table3-{row}",
        config=f"table3/{row}",
        table="Table 3",
        split="validation",
        test_set="newstest2013",
        num_sentences=3_000,
        num_averaged=1,
        update_seconds=_BIG_SECONDS if row == "big" else _BASE_SECONDS,
        paper_score=bleu,
        paper_perplexity=perplexity,
        paper_parameters=parameters,
    )


def _table_4(name: str, config: str, f1: float) -> Target:
    return Target(
        name=name,
        config=config,
        table="Table 4",
        split="test",
        test_set="section 23 of the Wall Street Journal",
        num_sentences=2_416,
        num_averaged=5,  # The paper does not say; that of base.
        update_seconds=_BASE_SECONDS,
        paper_score=f1,
    )


_ALL = (
    _table_2("base", "en-de", 27.3),
    _table_2("big", "en-de", 28.4),
    _table_2("base", "en-fr", 38.1),
    _table_2("big", "en-fr", 41.8),
    _table_3("base", 4.92, 25.8, 65),
    _table_3("A1", 5.29, 24.9),
    _table_3("A2", 5.00, 25.5),
    _table_3("A3", 4.91, 25.8),
    _table_3("A4", 5.01, 25.4),
    _table_3("B1", 5.16, 25.1, 58),
    _table_3("B2", 5.01, 25.4, 60),
    _table_3("C1", 6.11, 23.7, 36),
    _table_3("C2", 5.19, 25.3, 50),
    _table_3("C3", 4.88, 25.5, 80),
    _table_3("C4", 5.75, 24.5, 28),
    _table_3("C5", 4.66, 26.0, 168),
    _table_3("C6", 5.12, 25.4, 53),
    _table_3("C7", 4.75, 26.2, 90),
    _table_3("D1", 5.77, 24.6),
    _table_3("D2", 4.95, 25.5),
    _table_3("D3", 4.67, 25.3),
    _table_3("D4", 5.47, 25.7),
    _table_3("E", 4.92, 25.7),
    _table_3("big", 4.33, 26.4, 213),
    _table_4("table4-wsj", "wsj_parsing", 91.3),
    _table_4("table4-semi", "wsj_parsing_semi", 92.7),
)
TARGETS = {target.name: target for target in _ALL}


def find_target(name: str) -> Target:
    """Returns the target of a name.

    Raises:
        InputError: there is none.
    """
    if name not in TARGETS:
        near = difflib.get_close_matches(name, [*TARGETS, "table1", "table3"], n=1)
        hint = f"did you mean {near[0]}?" if near else "--list shows all."
        raise InputError(f"{name} is not a result of the paper: {hint}")
    return TARGETS[name]
