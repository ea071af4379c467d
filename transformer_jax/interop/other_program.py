"""What the gate of parity asks of another program."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from transformer_jax.config.decoding import DecodingConfig


class OtherProgram(Protocol):
    """A model as another program has loaded it."""

    name: str
    """With its version."""

    def encode_source(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns token ids, end of sentence last."""

    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns token ids, end of sentence last."""

    def decode_target(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of outputs."""

    position_limit: int
    """Most tokens of a source or an output."""

    def encode_batch(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns source token ids of sentences, padded to one length, and which are
        real; `[rows, length]`."""

    def logits(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> np.ndarray:
        """Returns the logits of given targets, float32 `[rows, length, vocab]`."""

    def search(
        self, sources: Sequence[Sequence[int]], settings: DecodingConfig, limit: int
    ) -> list[list[int]]:
        """Returns the best output of each source, with its end if it has one.

        Args:
            settings: beam_size, and length_penalty, which is "length" or "none".
            limit: most tokens of an output.
        """
