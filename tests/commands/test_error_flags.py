"""Errors of Python functions, rewritten for the user of a shell."""

import pytest

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("minutes=-1 must be at least 0.", "--minutes -1 must be at least 0."),
        ("a/minutes=3 is a path", "a/minutes=3 is a path"),
        ("decoding.top_k=3 is refused", "decoding.top_k=3 is refused"),
    ],
)
def test_arguments_become_flags_at_the_beginning_of_a_word(message, expected):
    with (
        pytest.raises(InputError) as caught,
        flags_in_errors({"minutes=": "--minutes "}),
    ):
        raise InputError(message)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"beam_size": 0}, "--beam-size 0 must be at least 1."),
        (
            {"top_k": 3},
            "--top-k 3 is of use in sampling only: set --sampling.",
        ),
        ({"length_penalty_alpha": -0.5}, "--length-penalty-alpha -0.5 must be at"),
        ({"too_long": "x"}, "--too-long x must be one of 'split', 'refuse'."),
    ],
)
def test_settings_of_decoding_become_flags(settings, expected):
    with pytest.raises(InputError) as caught, flags_in_errors({}, decoding=True):
        DecodingConfig().replace(**settings)
    assert str(caught.value).startswith(expected)
