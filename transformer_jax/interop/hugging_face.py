"""Marian's models as directories of Hugging Face: writing one, and reading one.

`MarianMTModel.from_pretrained` and `MarianTokenizer.from_pretrained` load what is
written: weights, settings, settings of search, two SentencePiece models, and the token
id of each piece.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.config.data import DataConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.json_files import read_json, write_json
from transformer_jax.interop.marian_parameters import (
    OUTPUT_BIAS,
    from_marian,
    has_attention_bias,
    to_marian,
)
from transformer_jax.interop.marian_program import EXTRA, MarianProgram
from transformer_jax.interop.marian_search import from_generation_settings
from transformer_jax.interop.marian_settings import (
    from_marian_settings,
    position_limit,
    to_generation_settings,
    to_marian_settings,
)
from transformer_jax.interop.marian_tokenizer import (
    read_languages,
    read_tokenizer,
    write_tokenizer,
)
from transformer_jax.interop.marian_weights import WEIGHTS, check_weights
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.tokenizer import Tokenizer


def write_marian(
    directory: Path, config: ExperimentConfig, params: Params, tokenizer: Tokenizer
) -> None:
    """Writes a model for transformers into a directory.

    Raises:
        InputError: the format cannot hold the model, or safetensors is not installed.
        OSError: the disk is full.
    """
    settings = to_marian_settings(config, tokenizer)
    with explain_missing(EXTRA):
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    weights = to_marian(params, config.model)
    try:
        save_file(weights, directory / WEIGHTS, {"format": "pt"})
    except SafetensorError as error:  # It has its own for those of the system.
        raise OSError(" ".join(str(error).split())) from error
    write_json(directory / "config.json", settings)
    write_json(
        directory / "generation_config.json", to_generation_settings(config, tokenizer)
    )
    write_tokenizer(directory, config, tokenizer)


@dataclass(frozen=True)
class MarianDescription:
    """What a directory says of its model, but for the numbers of its weights."""

    config: ExperimentConfig
    """With all biases that the format has."""
    tokenizer: Tokenizer
    notes: tuple[str, ...]
    """For people."""
    weights: Mapping[str, Path]
    """The file of each array, by its name there."""


def read_description(directory: Path) -> MarianDescription:
    """Returns what a directory says of its model, everything checked.

    Raises:
        InputError: it is no Marian model, or one that this package cannot compute; the
            message names the file and the setting.
    """
    settings = read_settings(directory)
    path = directory / "config.json"
    with _naming(path):
        model = from_marian_settings(settings, attention_bias=True, output_bias=True)
        positions = position_limit(settings)
    weights = check_weights(directory, model, positions)
    search = directory / "generation_config.json"
    described = read_json(search) if search.exists() else settings
    with _naming(search if search.exists() else path):
        decoding = from_generation_settings(described, model.output_vocab_size)
    tokenizer, of_tokenizer, notes = read_tokenizer(directory, settings)
    if not described.get("num_beams"):
        notes += ("the settings of search name no num_beams: search is greedy",)
    source_language, target_language = read_languages(directory)
    length = min(positions, DataConfig().source_length)
    config = ExperimentConfig(
        model=model,
        tokenizer=of_tokenizer,
        data=DataConfig(
            source_language=source_language,
            target_language=target_language,
            source_length=length,
            target_length=length,
        ),
        decoding=decoding,
    )
    return MarianDescription(config, tokenizer, notes, weights)


def read_marian(
    directory: Path, described: MarianDescription, program: MarianProgram
) -> tuple[ExperimentConfig, Params]:
    """Returns the settings, without biases that are all 0, and the parameters.

    Args:
        program: the directory, loaded.

    Raises:
        InputError: a parameter is not finite; the message names the file.
    """
    arrays = program.arrays()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"{described.weights.get(name, directory)}: {name} has numbers that "
                "are not finite."
            )
    model = dataclasses.replace(
        described.config.model,
        attention_bias=has_attention_bias(arrays),
        output_bias=bool(np.any(arrays[OUTPUT_BIAS])),
    )
    return described.config.replace(model=model), from_marian(arrays, model)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the name of a file before the InputErrors of the block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_settings(directory: Path) -> dict[str, Any]:
    """Returns the contents of the `config.json` of a Marian model.

    Raises:
        InputError: there is none, or it is that of another model.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise InputError(
            f"{directory} is no model of Hugging Face: it has no config.json."
        )
    settings = read_json(path)
    kind = settings.get("model_type")
    if kind != "marian":
        here = "" if kind is None else f" (its model_type is {kind!r})"
        raise InputError(
            f"{directory} is no Marian model of Hugging Face{here}: give one whose "
            f"config.json has the model_type 'marian'{_what_it_is(directory)}."
        )
    return settings


def _what_it_is(directory: Path) -> str:
    """Returns what else a directory is, for a message."""
    if (directory / "checkpoints").is_dir():
        return "; it is a run of transformer_jax already"
    if (directory / "model.bin").is_file() and any(directory.glob("*vocabulary.*")):
        return "; it is one of CTranslate2, which cannot be imported"
    return ""
