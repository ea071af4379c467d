"""Seconds of compiled programs, measured in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax

_Key = TypeVar("_Key")


def median_seconds(
    runs: Mapping[_Key, Callable[[], Any]], repeats: int
) -> dict[_Key, float]:
    """Returns the median of some repeats of each run, after one that does not count.

    The runs take turns, so that what else the machine does slows down all of them.

    Args:
        runs: functions that return arrays, which are waited for.
    """
    seconds: dict[_Key, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        jax.block_until_ready(run())
    for _ in range(repeats):
        for key, run in runs.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            seconds[key].append(time.perf_counter() - started)
    return {key: statistics.median(each) for key, each in seconds.items()}
