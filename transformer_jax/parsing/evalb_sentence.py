"""EVALB's counts of one sentence.

- Words whose tag is in DELETE_LABEL are left out; constituents with such a label, or
  without words, are not counted. Labels of constituents end before - or =; tags are
  compared as they are.
- Gold constituents, in the order in which they open, each match the first one of the
  test tree that is left, over the same words and with an equal label.
- A constituent of the test tree crosses once, however many of the gold tree it crosses.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from transformer_jax.parsing.evalb_parameters import EvalbParameters, Pairs
from transformer_jax.parsing.evalb_scores import SentenceCounts
from transformer_jax.parsing.trees import Tree

Parse = Tree | list[Tree] | tuple[Tree, ...] | None
"""A tree, several side by side without a top, or none."""

_QUOTES = ("'", '"', "/")
_FUNCTION = re.compile("[-=]")


def count_sentence(
    gold_parse: Parse, test_parse: Parse, parameters: EvalbParameters
) -> SentenceCounts:
    """Returns the counts of a sentence."""
    gold = _flatten(gold_parse, parameters)
    test = _flatten(test_parse, parameters)
    if not test.words:
        return SentenceCounts(gold.length, "skipped")
    if len(gold.words) != len(test.words):
        _put_quotes_back(gold, test, parameters)
    if len(gold.words) != len(test.words):
        problem = f"Length unmatch ({len(gold.words)}|{len(test.words)})"
        return SentenceCounts(gold.length, "error", problem)
    for words in zip(gold.words, test.words, strict=True):
        if not _are_equal(*words, parameters.equal_words):
            problem = f"Words unmatch ({words[0]}|{words[1]})"
            return SentenceCounts(gold.length, "error", problem)
    gold_spans = _spans_to_count(gold, parameters)
    test_spans = _spans_to_count(test, parameters)
    return SentenceCounts(
        gold.length,
        matched=_count_matches(gold_spans, test_spans, parameters),
        gold=len(gold_spans),
        test=len(test_spans),
        crossing=_count_crossing(gold_spans, test_spans),
        words=len(gold.words),
        correct_tags=sum(
            _are_equal(*tags, parameters.equal_labels)
            for tags in zip(gold.tags, test.tags, strict=True)
        ),
    )


@dataclass
class _Bracket:
    """A constituent: its label, its first word, and the word after its last."""

    label: str
    start: int
    end: int = -1


@dataclass
class _Quote:
    """A word that may be put back, and where."""

    tag: str
    word: str
    place: int
    """Its number among the words."""
    num_opened: int
    """Constituents that open before it."""
    around: list[int]
    """Numbers of those that hold it."""


@dataclass
class _Flat:
    """A sentence as EVALB reads it."""

    length: int = 0
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    brackets: list[_Bracket] = field(default_factory=list)
    """In the order in which they open."""
    quotes: list[_Quote] = field(default_factory=list)


def _flatten(parse: Parse, parameters: EvalbParameters) -> _Flat:
    """Returns the words that are not deleted, and all constituents."""
    flat = _Flat()
    around: list[int] = []
    for tree in (parse,) if isinstance(parse, Tree) else parse or ():
        for node, ends in tree.walk():
            if node.word is None:
                if ends:
                    flat.brackets[around.pop()].end = len(flat.words)
                else:
                    around.append(len(flat.brackets))
                    flat.brackets.append(_Bracket(node.label, len(flat.words)))
                continue
            tag, word = node.label, node.word
            flat.length += tag not in parameters.delete_labels_for_length
            if tag in parameters.quote_labels and word in _QUOTES:
                opened = len(flat.brackets)
                flat.quotes.append(
                    _Quote(tag, word, len(flat.words), opened, [*around])
                )
            if tag not in parameters.delete_labels:
                flat.words.append(word)
                flat.tags.append(tag)
    return flat


def _put_quotes_back(gold: _Flat, test: _Flat, parameters: EvalbParameters) -> None:
    """Puts quotes back that only one of the trees has as a tag that is deleted."""
    for test_number, test_quote in enumerate(test.quotes):
        place = test_quote.place
        for gold_number, gold_quote in enumerate(gold.quotes):
            if gold_quote.place != place or gold_quote.tag == test_quote.tag:
                continue
            is_deleted = gold_quote.tag in parameters.delete_labels
            if is_deleted == (test_quote.tag in parameters.delete_labels):
                continue
            if is_deleted:
                _put_back(gold, gold_number)
            else:
                _put_back(test, test_number)


def _put_back(flat: _Flat, number: int) -> None:
    """Puts the quote of this number back among the words."""
    quote = flat.quotes[number]
    flat.words.insert(quote.place, quote.word)
    flat.tags.insert(quote.place, quote.tag)
    for bracket in flat.brackets[quote.num_opened :]:
        bracket.start += 1
        bracket.end += 1
    for index in quote.around:
        flat.brackets[index].end += 1
    for later in flat.quotes[number:]:
        later.place += 1


def _spans_to_count(flat: _Flat, parameters: EvalbParameters) -> list[_Bracket]:
    """Returns the constituents that count, their labels without functions."""
    counted = []
    for bracket in flat.brackets:
        label = _FUNCTION.split(bracket.label, maxsplit=1)[0]
        if bracket.start < bracket.end and not any(
            _are_equal(label, deleted, parameters.equal_labels)
            for deleted in parameters.delete_labels
        ):
            counted.append(_Bracket(label, bracket.start, bracket.end))
    return counted


def _count_matches(
    gold: list[_Bracket], test: list[_Bracket], parameters: EvalbParameters
) -> int:
    """Returns how many constituents both have."""
    left: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for bracket in test:
        left[bracket.start, bracket.end].append(bracket.label)
    matches = 0
    for bracket in gold:
        labels = left[bracket.start, bracket.end]
        for index, label in enumerate(labels):
            if not parameters.labeled or _are_equal(
                bracket.label, label, parameters.equal_labels
            ):
                del labels[index]
                matches += 1
                break
    return matches


def _count_crossing(gold: list[_Bracket], test: list[_Bracket]) -> int:
    """Returns how many test constituents cross one of the gold tree."""
    # Constituents of one tree do not cross, so these do not either.
    harmless = {(bracket.start, bracket.end) for bracket in gold}
    return sum(
        (one.start, one.end) not in harmless
        and any(
            start < one.start < end < one.end or one.start < start < one.end < end
            for start, end in harmless
        )
        for one in test
    )


def _are_equal(one: str, other: str, pairs: Pairs) -> bool:
    return one == other or (one, other) in pairs or (other, one) in pairs
