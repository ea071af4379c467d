"""Checks of a translator's arguments."""

from collections.abc import Sequence

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError


def check_arguments(
    sentences: Sequence[str],
    n: int,
    prefixes: Sequence[str] | None,
    settings: DecodingConfig,
) -> None:
    """Checks that the arguments of `Translator.n_best` fit together.

    Raises:
        InputError: `sentences` is one string, n is less than 1 or larger than the beam,
            or there is not one prefix for each sentence.
    """
    check_sentences("sentences", sentences)
    check_number("n", n, settings)
    if prefixes is not None:
        check_sentences("prefixes", prefixes)
    if prefixes is not None and len(prefixes) != len(sentences):
        raise InputError(
            f"{len(prefixes)} prefixes for {len(sentences)} sentences: give one "
            'for each, "" where there is none.'
        )


def check_number(name: str, number: int, settings: DecodingConfig) -> None:
    """Checks that a search can return this number of translations of a sentence.

    Args:
        name: of the caller's argument.

    Raises:
        InputError: the number is less than 1, or larger than the beam.
    """
    if not isinstance(number, int | np.integer) or isinstance(number, bool):
        raise InputError(f"{name}={number!r} must be an integer.")
    if number < 1:
        raise InputError(f"{name}={number} must be at least 1.")
    if number > settings.beam_size and not settings.sampling:
        raise InputError(
            f"{name}={number} must be at most beam_size={settings.beam_size}: the beam "
            "holds no more hypotheses."
        )


def check_sentences(name: str, sentences: Sequence[str]) -> None:
    """Checks that an argument is a list of strings.

    Raises:
        InputError: it is one string, or no sequence, or an item is no string.
    """
    if isinstance(sentences, str):
        raise InputError(
            f"{name}={sentences!r:.40} is one string: give a list of sentences."
        )
    if not isinstance(sentences, Sequence | np.ndarray):
        raise InputError(f"{name}={sentences!r:.40} must be a list of sentences.")
    for index, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise InputError(f"{name}[{index}]={sentence!r:.40} must be a string.")
