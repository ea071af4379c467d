"""Settings of search as Hugging Face writes them, as ours."""

import math
from collections.abc import Mapping
from typing import Any

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError


def from_generation_settings(
    settings: Mapping[str, Any], vocab_size: int
) -> DecodingConfig:
    """Returns settings of search from `generation_config.json`, or `config.json`.

    Args:
        vocab_size: of the target.

    Raises:
        InputError: several tokens are forbidden as a sequence, or a value is none that
            the setting can have; the message names it as the file does.
    """
    alpha = _penalty(settings)
    stops = settings.get("early_stopping")
    if stops is not None and not isinstance(stops, bool) and stops != "never":
        raise InputError(
            f"early_stopping={stops!r:.60} must be true, false or 'never'."
        )
    return DecodingConfig(
        beam_size=_count(settings, "num_beams") or 1,
        length_penalty="length" if alpha else "none",
        length_penalty_alpha=alpha or 0.6,
        early_stopping="first" if stops is True else "exact",
        forbidden_tokens=_forbidden(settings, vocab_size),
        no_repeat_ngram_size=_count(settings, "no_repeat_ngram_size") or None,
        min_length=_count(settings, "min_new_tokens"),
    )


def _penalty(settings: Mapping[str, Any]) -> float:
    value = settings.get("length_penalty")
    if value is None:
        return 1.0
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= _MOST_PENALTY:
        raise InputError(
            f"length_penalty={value!r:.60} must be a number from 0 to {_MOST_PENALTY}."
        )
    return float(value)


_MOST_PENALTY = 10
_MOST_COUNT = 1_000_000


def _count(settings: Mapping[str, Any], name: str) -> int:
    """Returns a number that may be missing, which is 0."""
    value = settings.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_COUNT:
        raise InputError(
            f"{name}={value!r:.60} must be an integer from 0 to {_MOST_COUNT:,}."
        )
    return value


def _forbidden(settings: Mapping[str, Any], vocab_size: int) -> tuple[int, ...]:
    sequences = settings.get("bad_words_ids")
    if sequences is None:
        return ()
    is_list = isinstance(sequences, list)
    if not is_list or not all(isinstance(each, list) for each in sequences):
        raise InputError(
            f"bad_words_ids={sequences!r:.60} must be a list of lists of token ids."
        )
    tokens = [token for each in sequences for token in each]
    for token in tokens:
        if type(token) is not int or not 0 <= token < vocab_size:
            raise InputError(
                f"bad_words_ids={sequences!r:.60} has {token!r:.40}, which is no token "
                f"id from 0 to {vocab_size - 1}."
            )
    if any(len(each) != 1 for each in sequences):
        raise InputError(
            f"bad_words_ids={sequences!r:.80} forbids sequences of tokens: only single "
            "ones can be forbidden here."
        )
    return tuple(tokens)
