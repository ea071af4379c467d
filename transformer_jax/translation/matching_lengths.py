"""Cutting of a translation into parts that match those of its source, by length.

The lengths of texts that translate each other are in proportion, and where they are
not, the square of the difference grows with the length (Gale and Church, 1993, "A
Program for Aligning Sentences in Bilingual Corpora"). Differs from them: the parts of
one side are given, so only the places where the other one is cut are looked for, and
the proportion is that of the two texts.
"""

import math
from collections.abc import Sequence

import numpy as np

# How far from its place in proportion a cut is looked for, at first and at most; mean
# lengths of a part.
_FIRST_REACH = 4
_MOST_REACH = 32


def fewest_parts(tokens: Sequence[int], room: int) -> int:
    """Returns how many parts of at most `room` tokens hold these units in order."""
    number, left = 0, 0
    for size in tokens:
        if not number or size > left:
            number, left = number + 1, room
        left -= size
    return number


def match_lengths(
    parts: Sequence[int], units: Sequence[int], tokens: Sequence[int], room: int
) -> list[int]:
    """Returns the number of units of each part, the best ones.

    The sum over the parts of (length of its units - expected length)**2 / (length of
    the part) is as small as it can be, by dynamic programming over the places of the
    cuts. The expected length is the part's share of all units. A part may have no unit.

    Cuts are looked for near their places in proportion, so that a text of many parts
    does not take memory by the square: as far as any that could be better, but no
    further than the length of `_MOST_REACH` parts unless there is no room nearer.

    Args:
        parts: length of each source part; characters, positive.
        units: length of each unit of the target; characters, positive.
        tokens: tokens of each unit, at most `room`.
        room: most tokens of a part. There are at least `fewest_parts` parts.
    """
    ends = np.concatenate([[0], np.cumsum(np.asarray(units, np.float64))])
    used = np.concatenate([[0], np.cumsum(np.asarray(tokens, np.int64))])
    share = ends[-1] / max(sum(parts), 1)
    mean = ends[-1] / len(parts)
    reach = _FIRST_REACH * mean
    while True:
        cost, counts = _match_within(reach, parts, ends, used, share, room)
        if not np.isfinite(cost):
            assert reach <= ends[-1], "there are fewer parts than the units need"
            reach = 4 * reach + 1
            continue
        # A cut that is `away` from its place in proportion, after parts of length s of
        # all S, costs at least away**2 * (1 / s + 1 / (S - s)), by Cauchy's inequality.
        needed = math.sqrt(cost * sum(parts)) / 2
        if reach >= min(needed, _MOST_REACH * mean):
            return counts
        reach = min(1.001 * needed, _MOST_REACH * mean)


def _match_within(
    reach: float,
    parts: Sequence[int],
    ends: np.ndarray,
    used: np.ndarray,
    share: float,
    room: int,
) -> tuple[float, list[int]]:
    """Returns the smallest sum and its numbers of units; infinity if there are none.

    Args:
        reach: how far cuts may be from their places in proportion; characters.
        ends: characters before each place of a cut, the first and the last included.
        used: tokens before each place.
        share: characters of the units for each of the parts.
    """
    places = share * np.cumsum(parts)
    lows = np.searchsorted(ends, places - reach, side="left").tolist()
    highs = np.searchsorted(ends, places + reach, side="right").tolist()
    lows[-1], highs[-1] = len(ends) - 1, len(ends)
    most = int((np.arange(len(ends)) - np.searchsorted(used, used - room)).max())
    old_low, old_high, costs = 0, 1, np.zeros(1)
    taken = []
    for length, low, high in zip(parts, lows, highs, strict=True):
        new = np.full(high - low, np.inf)
        numbers = np.zeros(high - low, np.int32)
        fewest = max(0, low - old_high + 1)
        for number in range(fewest, min(most, high - 1 - old_low) + 1):
            first, last = max(low, old_low + number), min(high, old_high + number)
            end, start = slice(first, last), slice(first - number, last - number)
            off = ends[end] - ends[start] - share * length
            before = costs[first - number - old_low : last - number - old_low]
            total = np.where(
                used[end] - used[start] <= room, before + off**2 / length, np.inf
            )
            here = slice(first - low, last - low)
            better = total < new[here]
            new[here][better] = total[better]
            numbers[here][better] = number
        taken.append((low, numbers))
        old_low, old_high, costs = low, high, new
    counts, end_of_part = [], len(ends) - 1
    if np.isfinite(costs[-1]):
        for low, numbers in taken[::-1]:
            counts.append(int(numbers[end_of_part - low]))
            end_of_part -= counts[-1]
    return float(costs[-1]), counts[::-1]
