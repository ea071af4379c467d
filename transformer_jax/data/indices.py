"""Arrays of indices: their type, and ranges of them."""

import numpy as np


def index_type(number: int) -> np.dtype:
    """Returns the integers for indices from 0 to `number`."""
    return np.dtype(np.int32 if number <= np.iinfo(np.int32).max else np.int64)


def join_ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns starts[0], starts[0] + 1, ..., counts[0] numbers; then from starts[1]."""
    before = np.cumsum(counts, dtype=np.int64) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
