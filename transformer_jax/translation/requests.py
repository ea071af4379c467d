"""What is asked of a search, and what it answers: in tokens."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import Parts


@dataclass(frozen=True)
class Request:
    """One sentence to be translated."""

    source: list[int]
    limit: int
    """Most output tokens."""
    seed: int = 0
    """What its random numbers follow from."""
    prefix: list[int] = field(default_factory=list)
    """What its output begins with."""


@dataclass(frozen=True)
class Hypothesis:
    """One output for a sentence."""

    tokens: list[int]
    """With end-of-sentence, if it has ended."""
    score: float
    is_finished: bool


def make_requests(
    parts: Parts,
    prefixes: Sequence[str] | None,
    tokenizer: Tokenizer,
    settings: DecodingConfig,
) -> list[Request]:
    """Returns a request for each part; a prefix goes to the first of its sentence.

    Raises:
        InputError: a prefix is as long as its output may be.
    """
    forced: list[list[int]] = [[] for _ in parts.encoded]
    if prefixes is not None:
        encoded = tokenizer.encode_target(prefixes)
        firsts = {owner: i for i, owner in reversed(list(enumerate(parts.owners)))}
        for owner, first in firsts.items():
            forced[first] = encoded[owner][:-1]  # Without the end of sentence.
    requests = []
    for source, prefix in zip(parts.encoded, forced, strict=True):
        limit = len(source) + settings.max_extra_length
        if len(prefix) >= limit:
            raise InputError(
                f"a prefix has {len(prefix)} tokens, but its output may have "
                f"{limit}: raise decoding.max_extra_length."
            )
        # What is drawn for a sentence follows from the seed and the sentence, not from
        # its place in a file or a batch.
        content = np.asarray([settings.seed, *source], np.int64).tobytes()
        seed = zlib.crc32(content)
        requests.append(Request(source, limit, seed, prefix))
    return requests
