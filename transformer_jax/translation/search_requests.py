"""Search requests and results, as token ids."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import SentenceError
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_sentences import SentenceParts


@dataclass(frozen=True)
class Request:
    """One source sentence to search an output for."""

    source: list[int]
    """Token ids, end of sentence included."""
    limit: int
    """Most output tokens."""
    seed: int = 0
    """Seed of this sentence's random numbers."""
    prefix: list[int] = field(default_factory=list)
    """Token ids that the output begins with."""
    num_leaves: int = 0
    """Leaves of the output's tree, where the search has a grammar."""


@dataclass(frozen=True)
class Hypothesis:
    """One output for a sentence."""

    tokens: list[int]
    """Token ids; the end of sentence is the last one if the output has ended."""
    score: float
    """Log-probability over length penalty, plus coverage penalty; nats."""
    is_finished: bool


def seed_of(source: Sequence[int], settings: DecodingConfig) -> int:
    """Returns the seed of a sentence's random numbers.

    Sampling must not depend on where the sentence stands in a file or a batch, so the
    seed is computed from the configured seed and the sentence alone.
    """
    return zlib.crc32(np.asarray([settings.seed, *source], np.int64).tobytes())


def make_requests(
    parts: SentenceParts,
    prefixes: Sequence[str] | None,
    tokenizer: Tokenizer,
    settings: DecodingConfig,
) -> list[Request]:
    """Returns a request for each part; a prefix belongs to a sentence's first part.

    Raises:
        SentenceError: a prefix is as long as its output may be.
    """
    prefix_ids: list[list[int]] = [[] for _ in parts.encoded]
    if prefixes is not None:
        encoded = tokenizer.encode_target(prefixes)
        firsts = {owner: i for i, owner in reversed(list(enumerate(parts.owners)))}
        for owner, first in firsts.items():
            prefix_ids[first] = encoded[owner][:-1]  # Without the end of sentence.
    requests, problems = [], {}
    rows = zip(parts.owners, parts.encoded, prefix_ids, strict=True)
    for owner, source, prefix in rows:
        limit = len(source) + settings.max_extra_length
        if len(prefix) >= limit:
            problems[owner] = (
                f"has a prefix of {len(prefix)} tokens, but its output may have "
                f"{limit}: raise decoding.max_extra_length."
            )
        seed = seed_of(source, settings)
        requests.append(Request(source, limit, seed, prefix))
    if problems:
        raise SentenceError(problems)
    return requests
