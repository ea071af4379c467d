"""Exponents of n and d, and where two layers cost the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Exponents:
    """Of `constant * length^a * width^b`."""

    length: float
    width: float
    constant: float


def fit_exponents(
    lengths: Sequence[int], widths: Sequence[int], costs: Sequence[float]
) -> Exponents:
    """Returns the powers nearest to some costs, by least squares of their logarithms.

    Args:
        lengths: of each measurement; so are widths and costs. At least two differ.
    """
    ones = np.ones(len(costs))
    matrix = np.stack([np.log(lengths), np.log(widths), ones], axis=1)
    a, b, constant = np.linalg.lstsq(matrix, np.log(costs), rcond=None)[0]
    return Exponents(float(a), float(b), float(np.exp(constant)))


def crossing(
    lengths: Sequence[int], first: Sequence[float], second: Sequence[float]
) -> float | None:
    """Returns the length from which on the first costs more than the second.

    Between two lengths both are powers of it. None = at the longest the first is not
    dearer, or at the shortest it is already, and stays so.
    """
    ratio = np.log(first) - np.log(second)
    below = np.flatnonzero(ratio <= 0)
    if len(below) == 0 or below[-1] == len(ratio) - 1:
        return None
    at = below[-1]
    part = -ratio[at] / (ratio[at + 1] - ratio[at])
    logs = np.log(lengths)
    return float(np.exp(logs[at] + part * (logs[at + 1] - logs[at])))
