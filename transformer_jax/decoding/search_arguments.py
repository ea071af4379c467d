"""Checks of the arguments of a search."""

from jaxtyping import Array

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError


def check_arguments(
    settings: DecodingConfig,
    max_length: int,
    coverage: Array | None,
    rng: Array | None,
    num_results: int | None,
) -> None:
    """Checks what does not depend on the arrays' values.

    Raises:
        InputError: a size is out of range, or an array that the settings need is not
            there.
    """
    if max_length < 1:
        raise InputError(f"max_length={max_length} must be at least 1.")
    if num_results is not None and not 1 <= num_results <= settings.beam_size:
        raise InputError(
            f"num_results={num_results} must be between 1 and "
            f"decoding.beam_size={settings.beam_size}."
        )
    if settings.sampling and rng is None:
        raise InputError("decoding.sampling=true needs rng, a key for each sentence.")
    if settings.coverage_penalty and coverage is None:
        raise InputError(
            f"decoding.coverage_penalty={settings.coverage_penalty} needs coverage: 1 "
            "where the source is padding, else 0."
        )
