"""Progress shown to people: bars on a terminal."""

from typing import Any

from tqdm.auto import tqdm

from transformer_jax.devices.joining import is_primary


def sentence_bar(total: int | None, done: int, progress: bool) -> "tqdm[Any]":
    """Returns a progress bar of sentences, shown on a terminal only.

    Args:
        total: None where it is not known.
        done: how many were done before; they do not count as this run's speed.
    """
    shown = progress and is_primary()
    # None leaves it to whether standard error is a terminal.
    return tqdm(
        total=total, initial=done, unit=" sentences", disable=None if shown else True
    )
