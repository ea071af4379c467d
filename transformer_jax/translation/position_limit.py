"""The number of positions that models have, and sentences that exceed it."""

from collections.abc import Iterable

from transformer_jax.config.model import ModelConfig
from transformer_jax.data.corpus import Corpus
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import max_position


def position_limit(models: Iterable[ModelConfig]) -> int | None:
    """Returns the most tokens that every one of the models has positions for.

    None = any number: sinusoidal positions have no limit.
    """
    limits = [max_position(config) for config in models]
    return min((limit for limit in limits if limit is not None), default=None)


def check_lengths(corpus: Corpus, *models: ModelConfig) -> None:
    """Checks that the models have a position for every token of a corpus.

    Raises:
        InputError: a sentence is longer than a learned table of positions.
    """
    limit = position_limit(models)
    if limit is None or not corpus.num_pairs:
        return
    longest = int(max(corpus.source_lengths.max(), corpus.target_lengths.max()))
    if longest > limit:
        raise InputError(
            f"a sentence has {longest} tokens, more than model.max_length={limit}: "
            "split it, or train with a larger model.max_length or with "
            "model.positions='sinusoidal'."
        )
