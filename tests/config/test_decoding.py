"""Decoding settings as keyword arguments: names, types and misspelt names."""

import dataclasses
import typing

import pytest

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.errors import InputError


def test_keyword_arguments_are_the_fields_with_their_types():
    hints = typing.get_type_hints(DecodingConfig)
    assert typing.get_type_hints(DecodingSettings) == hints
    assert list(hints) == [field.name for field in dataclasses.fields(DecodingConfig)]
    assert not DecodingSettings.__required_keys__


def test_replace_changes_what_is_named_and_checks_it():
    config = DecodingConfig(beam_size=2).replace(top_k=5, sampling=True)
    assert config == DecodingConfig(beam_size=2, top_k=5, sampling=True)
    with pytest.raises(InputError, match=r"decoding\.beam_size=0 must be at least 1"):
        config.replace(beam_size=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "beam_sise",
            r"beam_sise is not a setting of decoding; did you mean beam_size\?",
        ),
        (
            "x",
            r"x is not a setting of decoding; expected one of align.*top_p\.",
        ),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        DecodingConfig().replace(**{name: 1})
