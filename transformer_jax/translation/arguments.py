"""Checks of a translator's arguments."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from transformer_jax.checkpoints.choosing import Which
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.devices.kept_shapes import kept_shapes
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.model.size import find_misfit
from transformer_jax.tokenizer.checks import check_vocabulary
from transformer_jax.tokenizer.tokenizer import Tokenizer


def check_arguments(
    sentences: Iterable[str],
    n: int,
    prefixes: Iterable[str] | None,
    config: ExperimentConfig,
    settings: DecodingConfig,
) -> tuple[list[str], list[str] | None]:
    """Returns sentences and prefixes as lists, if the arguments fit together.

    Raises:
        InputError: the model parses, `sentences` is one string or has something else, n
            is less than 1 or larger than the beam, or there is not one prefix for each
            sentence.
    """
    require_translation(config)
    found = as_sentences("sentences", sentences)
    check_number("n", n, settings)
    if prefixes is None:
        return found, None
    firsts = as_sentences("prefixes", prefixes)
    if len(firsts) != len(found):
        raise InputError(
            f"{len(firsts)} prefixes for {len(found)} sentences: give one "
            'for each, "" where there is none.'
        )
    return found, firsts


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


def check_model(config: ModelConfig, params: Params, tokenizer: Tokenizer) -> None:
    """Checks that settings, parameters and tokenizer are of one size.

    Raises:
        InputError: they are not.
    """
    check_vocabulary(tokenizer, config)
    misfit = find_misfit(params, kept_shapes(config))
    if misfit is not None:
        raise InputError(f"params: {misfit}: give the parameters of this model.")


def decoding_of(translator: Any, decoding: Mapping[str, Any]) -> DecodingConfig:
    """Returns the decoding settings of a model, some of them replaced.

    Raises:
        InputError: it is no translator, or a setting is unknown or refused.
    """
    if not hasattr(translator, "config"):
        raise InputError(
            f"translator={translator!r:.40} ({type(translator).__name__}) must be a "
            "Translator: give Translator.from_checkpoint(...)."
        )
    replaced: DecodingConfig = translator.config.decoding.replace(**decoding)
    return replaced


def require_translation(config: ExperimentConfig) -> None:
    """Checks that a model was trained to translate.

    Raises:
        InputError: it was trained to parse.
    """
    if config.treebank.is_used:
        raise InputError(
            "this model was trained on trees, to parse: use `transformer-jax parse` "
            "and `evaluate`, or tj.Parser."
        )


def check_pair(source: str, target: str) -> None:
    """Checks that a source and its translation are strings.

    Raises:
        InputError: one is not.
    """
    for name, text in (("source", source), ("target", target)):
        if not isinstance(text, str):
            raise InputError(
                f"{name}={text!r:.40} ({type(text).__name__}) must be one string: "
                "the attention of one pair is shown at a time."
            )


def as_sentences(name: str, sentences: Iterable[str]) -> list[str]:
    """Returns a list of strings, of anything that yields strings in an order.

    Raises:
        InputError: it is one string, or yields none or in no order, or an item is no
            string. The message names it and its type.
    """
    if isinstance(sentences, str | bytes):
        raise InputError(
            f"{name}={sentences!r:.40} is one string: give a list of sentences."
        )
    has_no_order = isinstance(sentences, set | frozenset | Mapping)
    has_no_order |= getattr(sentences, "ndim", 1) == 0  # One value of NumPy.
    if has_no_order or not isinstance(sentences, Iterable):
        raise InputError(
            f"{name}={sentences!r:.40} ({type(sentences).__name__}) must be a list of "
            "sentences."
        )
    found = list(sentences)
    for index, sentence in enumerate(found):
        if not isinstance(sentence, str):
            kind = type(sentence).__name__
            raise InputError(
                f"{name}[{index}]={sentence!r:.40} ({kind}) must be a string."
            )
    return found


def check_member(
    member: tuple[str | os.PathLike[str], Which],
) -> tuple[str | os.PathLike[str], Which]:
    """Returns a member of an ensemble.

    Raises:
        InputError: it is no pair.
    """
    if not isinstance(member, tuple | list) or len(member) != 2:
        raise InputError(
            f"ensemble has {member!r:.60}; expected pairs of a work directory and a "
            'checkpoint, as ("runs/other", "latest").'
        )
    return member
