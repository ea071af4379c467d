"""The text and the token ids that two programs are compared on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines
from transformer_jax.tokenizer.tokenizer import Tokenizer

_MOST_LINES = 64
_NUM_RANDOM, LONGEST_RANDOM = 8, 24

SENTENCES = (
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "The committee shall meet at least twice a year, unless it decides otherwise.",
    "Ich habe 1.250,50 € bezahlt, viel zu viel; das war's!",
    "« Où est la gare ? » demanda-t-elle.",
    "¿Cuántos años tienes? Tengo 37.",
    "Мама мыла раму; кто же её мыл?",
    "Yes.",
    "He said: \"It's 7:30 p.m., isn't it?\" (nobody answered)",
)
"""Of several languages, since nothing says which ones a model knows."""


def read_sample(path: Path | None) -> tuple[str, ...]:
    """Returns the sentences to compare on: the first lines of a file, or our own.

    Raises:
        InputError: the file cannot be read, or has no line with a word.
    """
    if path is None:
        return SENTENCES
    found: list[str] = []
    with open_lines(path) as lines:
        for line in lines:
            if line.strip():
                found.append(line.strip())
            if len(found) == _MOST_LINES:
                break
    if not found:
        raise InputError(f"sample={path} has no line with a word: name another.")
    return tuple(found)


def random_pairs(tokenizer: Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """Returns sources and targets of random token ids, end of sentence last.

    They compare logits over the whole vocabulary, whatever language it is of.
    """
    rng = np.random.default_rng(0)
    special = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}

    def draw(size: int) -> list[int]:
        number = int(rng.integers(1, LONGEST_RANDOM))
        drawn = rng.integers(0, size, number).tolist()
        return [token for token in drawn if token not in special] + [tokenizer.eos_id]

    sources = [draw(tokenizer.source_vocab_size) for _ in range(_NUM_RANDOM)]
    targets = [draw(tokenizer.target_vocab_size) for _ in range(_NUM_RANDOM)]
    return sources, targets


def pad_rows(
    rows: Sequence[Sequence[int]], padding: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns token ids `[rows, length]` and which are real, int64 and bool."""
    length = max(map(len, rows))
    ids = np.full((len(rows), length), padding, np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    return ids, np.arange(length) < np.array([[len(tokens)] for tokens in rows])
