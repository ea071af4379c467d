"""The result of EVALB, and its report as the C program prints it."""

from dataclasses import dataclass

from transformer_jax.parsing.evalb_parameters import EvalbParameters
from transformer_jax.parsing.evalb_scores import (
    BracketScores,
    SentenceCounts,
    percentage,
)

_HEAD = """\
  Sent.                        Matched  Bracket   Cross        Correct Tag
 ID  Len.  Stat. Recal  Prec.  Bracket gold test Bracket Words  Tags Accracy
"""
_LINE = "=" * 76 + "\n"
_STATUS = {"valid": 0, "error": 1, "skipped": 2}


@dataclass(frozen=True)
class EvalbResult:
    """Scores of trees by EVALB. `str(result)` is the report of the C program."""

    all: BracketScores
    """Of all sentences."""
    short: BracketScores
    """Of sentences up to the length `parameters.cutoff_length`."""
    sentences: tuple[SentenceCounts, ...]
    parameters: EvalbParameters

    def __str__(self) -> str:
        """Returns the table of sentences and the summary, each line with its end."""
        rows = [_row(number, one) for number, one in enumerate(self.sentences, start=1)]
        return "".join(
            [
                _HEAD,
                _LINE,
                *rows,
                _LINE,
                _totals(self.all),
                "=== Summary ===\n",
                f"\n-- All --\n{_summary(self.all)}",
                f"\n-- len<={self.parameters.cutoff_length} --\n{_summary(self.short)}",
            ]
        )


def _row(number: int, one: SentenceCounts) -> str:
    recall = percentage(one.matched, one.gold)
    precision = percentage(one.matched, one.test)
    return (
        f"{number:4d}  {one.length:3d}    {_STATUS[one.status]}  "
        f"{recall:6.2f} {precision:6.2f}   {one.matched:3d}    {one.gold:3d}  "
        f"{one.test:3d}    {one.crossing:3d}   {one.words:4d}  {one.correct_tags:4d}   "
        f"{percentage(one.correct_tags, one.words):6.2f}\n"
    )


def _totals(scores: BracketScores) -> str:
    brackets = (
        f"                {scores.recall:6.2f} {scores.precision:6.2f} "
        f"{scores.num_matched:6d} {scores.num_gold:5d} {scores.num_test:5d}  "
        f"{scores.num_crossing:5d}"
    )
    return (
        f"{brackets if scores.num_gold and scores.num_test else ''}"
        f"  {scores.num_words:5d} {scores.num_correct_tags:5d}   "
        f"{scores.tagging_accuracy:6.2f}\n"
    )


def _summary(scores: BracketScores) -> str:
    # 0 / 0 in C, where this has the sign.
    f1 = f"{scores.f1:6.2f}" if scores.num_matched else "  -nan"
    return f"""\
Number of sentence        = {scores.num_sentences:6d}
Number of Error sentence  = {scores.num_errors:6d}
Number of Skip  sentence  = {scores.num_skipped:6d}
Number of Valid sentence  = {scores.num_valid:6d}
Bracketing Recall         = {scores.recall:6.2f}
Bracketing Precision      = {scores.precision:6.2f}
Bracketing FMeasure       = {f1}
Complete match            = {scores.complete_match:6.2f}
Average crossing          = {scores.average_crossing:6.2f}
No crossing               = {scores.no_crossing:6.2f}
2 or less crossing        = {scores.two_or_less_crossing:6.2f}
Tagging accuracy          = {scores.tagging_accuracy:6.2f}
"""
