"""What EVALB finds: counts of each sentence, and their sums as percentages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SentenceCounts:
    """What EVALB counts in one sentence: all 0 where it is not valid."""

    length: int
    """Words of the gold tree but those of DELETE_LABEL_FOR_LENGTH."""
    status: Literal["valid", "error", "skipped"] = "valid"
    """skipped: the test tree has no words."""
    problem: str | None = None
    """Of an error, in the words of EVALB."""
    matched: int = 0
    """Constituents that gold and test tree have both."""
    gold: int = 0
    """Constituents of the gold tree."""
    test: int = 0
    """Constituents of the test tree."""
    crossing: int = 0
    """Constituents of the test tree that cross one of the gold tree."""
    words: int = 0
    correct_tags: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether both trees have the same constituents."""
        return self.matched == self.gold == self.test


@dataclass(frozen=True)
class BracketScores:
    """Scores of many sentences; all rates but `average_crossing` are percentages.

    Only the valid sentences count for them. What has nothing to count is 0.
    """

    num_sentences: int
    num_errors: int
    num_skipped: int
    num_valid: int
    recall: float
    precision: float
    f1: float
    complete_match: float
    average_crossing: float
    no_crossing: float
    two_or_less_crossing: float
    tagging_accuracy: float
    num_matched: int
    num_gold: int
    num_test: int
    num_crossing: int
    num_words: int
    num_correct_tags: int


def sum_up(sentences: Iterable[SentenceCounts]) -> BracketScores:
    """Returns the scores of sentences together."""
    sentences = list(sentences)
    valid = [one for one in sentences if one.status == "valid"]
    matched = sum(one.matched for one in valid)
    gold = sum(one.gold for one in valid)
    test = sum(one.test for one in valid)
    crossing = sum(one.crossing for one in valid)
    words = sum(one.words for one in valid)
    correct_tags = sum(one.correct_tags for one in valid)
    recall, precision = percentage(matched, gold), percentage(matched, test)
    return BracketScores(
        num_sentences=len(sentences),
        num_errors=sum(one.status == "error" for one in sentences),
        num_skipped=sum(one.status == "skipped" for one in sentences),
        num_valid=len(valid),
        recall=recall,
        precision=precision,
        f1=2 * precision * recall / (precision + recall) if matched else 0.0,
        complete_match=percentage(sum(one.is_complete for one in valid), len(valid)),
        average_crossing=crossing / len(valid) if valid else 0.0,
        no_crossing=percentage(sum(not one.crossing for one in valid), len(valid)),
        two_or_less_crossing=percentage(
            sum(one.crossing <= 2 for one in valid), len(valid)
        ),
        tagging_accuracy=percentage(correct_tags, words),
        num_matched=matched,
        num_gold=gold,
        num_test=test,
        num_crossing=crossing,
        num_words=words,
        num_correct_tags=correct_tags,
    )


def percentage(part: int, whole: int) -> float:
    """Returns part of whole in percent, and 0 of nothing."""
    return 100.0 * part / whole if whole else 0.0
