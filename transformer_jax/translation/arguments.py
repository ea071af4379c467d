"""Checks of a translator's arguments."""

from collections.abc import Sequence

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
    if isinstance(sentences, str):
        raise InputError(
            f"sentences={sentences!r:.40} is one string: give a list of sentences."
        )
    if not 1 <= n <= settings.beam_size:
        raise InputError(
            f"n_best={n} must be between 1 and beam_size={settings.beam_size}: "
            "the beam holds no more hypotheses."
        )
    if prefixes is not None and len(prefixes) != len(sentences):
        raise InputError(
            f"{len(prefixes)} prefixes for {len(sentences)} sentences: give one "
            'for each, "" where there is none.'
        )
