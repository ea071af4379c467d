"""Marian's models as directories of Hugging Face: writing one, and reading one.

`MarianMTModel.from_pretrained` and `MarianTokenizer.from_pretrained` load what is
written: weights, settings, settings of search, two SentencePiece models, and the token
id of each piece.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.config.data import DataConfig, TokenizerConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.marian_parameters import (
    OUTPUT_BIAS,
    from_marian,
    has_attention_bias,
    to_marian,
)
from transformer_jax.interop.marian_program import EXTRA, MarianProgram
from transformer_jax.interop.marian_settings import (
    from_generation_settings,
    from_marian_settings,
    max_positions,
    to_generation_settings,
    to_marian_settings,
)
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.model.params import Params
from transformer_jax.storage.json_values import parse_json
from transformer_jax.tokenizer.piece_order import (
    SpecialPieces,
    model_kind,
    order_pieces,
    pieces_of,
    special_pieces,
    without_codes,
)
from transformer_jax.tokenizer.tokenizer import Tokenizer

_WEIGHTS = "model.safetensors"
_SIDES = ("source", "target")
_VOCABULARIES = {"source": "vocab.json", "target": "target_vocab.json"}


def write_marian(
    directory: Path, config: ExperimentConfig, params: Params, tokenizer: Tokenizer
) -> None:
    """Writes a model for transformers into a directory.

    Raises:
        InputError: the format cannot hold the model, or safetensors is not installed.
    """
    settings = to_marian_settings(config, tokenizer)
    with explain_missing(EXTRA):
        from safetensors.numpy import save_file
    save_file(to_marian(params, config.model), directory / _WEIGHTS, {"format": "pt"})
    _write_json(directory / "config.json", settings)
    _write_json(
        directory / "generation_config.json", to_generation_settings(config, tokenizer)
    )
    _write_tokenizer(directory, config, tokenizer)


def _write_tokenizer(
    directory: Path, config: ExperimentConfig, tokenizer: Tokenizer
) -> None:
    models = {"source": tokenizer.source_model, "target": tokenizer.target_model}
    pieces = {side: pieces_of(model) for side, model in models.items()}
    separate = pieces["source"] != pieces["target"]
    for side, model in models.items():
        (directory / f"{side}.spm").write_bytes(without_codes(model))
        if side == "source" or separate:
            ids = {piece: number for number, piece in enumerate(pieces[side])}
            _write_json(directory / _VOCABULARIES[side], ids)
    special = special_pieces(tokenizer.target_model)
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": config.data.source_language,
        "target_lang": config.data.target_language,
        "separate_vocabs": separate,
        "unk_token": special.unk,
        "eos_token": special.eos,
        "pad_token": special.pad,
        "model_max_length": max_positions(config) // 2,
        "clean_up_tokenization_spaces": False,
    }
    _write_json(directory / "tokenizer_config.json", settings)


def read_marian(
    directory: Path, program: MarianProgram
) -> tuple[ExperimentConfig, Params, Tokenizer, tuple[str, ...]]:
    """Returns settings, parameters and tokenizer of a directory, and notes for people.

    Args:
        program: the directory, loaded.

    Raises:
        InputError: it is no Marian model, or one that this package cannot compute; the
            message names the file and the setting.
    """
    settings = read_settings(directory)
    arrays = program.arrays()
    path = directory / "config.json"
    try:
        model = from_marian_settings(
            settings,
            attention_bias=has_attention_bias(arrays),
            output_bias=bool(np.any(arrays[OUTPUT_BIAS])),
        )
        search = directory / "generation_config.json"
        decoding = from_generation_settings(
            _read_json(search) if search.exists() else settings
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    tokenizer, of_tokenizer, notes = _read_tokenizer(directory, settings)
    source_language, target_language = _read_languages(directory)
    limit = settings.get("max_position_embeddings") or DataConfig().source_length
    length = min(limit, DataConfig().source_length)
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
    return config, from_marian(arrays, model), tokenizer, notes


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
    settings = _read_json(path)
    kind = settings.get("model_type")
    if kind != "marian":
        raise InputError(f"{path}: model_type={kind!r} must be 'marian'.")
    return settings


def _read_tokenizer(
    directory: Path, settings: Mapping[str, Any]
) -> tuple[Tokenizer, TokenizerConfig, tuple[str, ...]]:
    """Returns the tokenizer, its settings, and notes for people."""
    own = directory / "tokenizer_config.json"
    options = _read_json(own) if own.exists() else {}
    separate = bool(options.get("separate_vocabs", False))
    shared_size = settings["vocab_size"]
    sizes = {
        "source": shared_size,
        "target": settings.get("decoder_vocab_size") or shared_size,
    }
    models, notes = {}, []
    for side in _SIDES:
        vocabulary = directory / _VOCABULARIES[side if separate else "source"]
        pieces = _read_vocabulary(vocabulary, sizes[side])
        special = _special_pieces(pieces, settings, options, vocabulary)
        spm = directory / f"{side}.spm"
        if not spm.is_file():
            raise InputError(f"{spm} is missing: a Marian model has one.")
        try:
            ordered = order_pieces(spm.read_bytes(), pieces, special)
        except InputError as error:
            raise InputError(f"{spm}: {error}") from None
        models[side] = ordered.model
        if ordered.missing:
            notes.append(
                f"{spm.name} has {len(ordered.missing)} pieces that {vocabulary.name} "
                f"lacks, as {ordered.missing[0]!r}: MarianTokenizer reads them as "
                "unknown, here they are made of others."
            )
    kind, byte_fallback = model_kind(models["source"])
    if kind not in ("bpe", "unigram"):
        raise InputError(f"{directory / 'source.spm'} is of the kind {kind!r}.")
    of_tokenizer = TokenizerConfig(
        kind=kind,  # type: ignore[arg-type]
        shared=not separate,
        byte_fallback=byte_fallback,
    )
    return Tokenizer(models["source"], models["target"]), of_tokenizer, tuple(notes)


def _read_vocabulary(path: Path, size: int) -> list[str]:
    """Returns the pieces of a vocabulary by token id; of ids without one, a filler."""
    if not path.is_file():
        raise InputError(f"{path} is missing: a Marian model has one.")
    ids = _read_json(path)
    places = {number: piece for piece, number in ids.items()}
    numbers = all(isinstance(n, int) and 0 <= n < size for n in ids.values())
    if len(places) < len(ids) or not numbers:
        raise InputError(
            f"{path}: its token ids must be different numbers from 0 to {size - 1}, as "
            "vocab_size of config.json says."
        )
    return [places.get(number, f"<unused{number}>") for number in range(size)]


def _special_pieces(
    pieces: list[str],
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    path: Path,
) -> SpecialPieces:
    """Returns the special pieces by the settings; all have a token id."""
    named = {}
    for name in ("decoder_start", "eos", "pad"):
        number = settings.get(f"{name}_token_id")
        if isinstance(number, list) and len(number) == 1:
            (number,) = number
        if not isinstance(number, int) or not 0 <= number < len(pieces):
            raise InputError(
                f"{path.with_name('config.json')}: {name}_token_id={number!r} must be "
                f"the token id of one piece, from 0 to {len(pieces) - 1}."
            )
        named[name] = pieces[number]
    unk = options.get("unk_token", "<unk>")
    unk = unk["content"] if isinstance(unk, dict) else unk
    if unk not in pieces:
        raise InputError(f"{path} has no piece for unknown characters, {unk!r}.")
    found = SpecialPieces(
        bos=named["decoder_start"], eos=named["eos"], pad=named["pad"], unk=unk
    )
    if found.eos in (found.bos, found.pad) or found.unk in (found.bos, found.pad):
        raise InputError(
            f"{path}: begin {found.bos!r}, end {found.eos!r}, padding {found.pad!r}, "
            f"unknown {found.unk!r} must be different; only begin may be padding."
        )
    return found


def _read_languages(directory: Path) -> tuple[str, str]:
    """Returns the languages that the tokenizer's settings name, or the defaults."""
    path = directory / "tokenizer_config.json"
    options = _read_json(path) if path.exists() else {}
    default = DataConfig()
    return (
        str(options.get("source_lang") or default.source_language),
        str(options.get("target_lang") or default.target_language),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is no table of values")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason:.120}).") from None
    return values


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
