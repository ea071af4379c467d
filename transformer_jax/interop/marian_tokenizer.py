"""The tokenizer of Marian's models in Hugging Face: writing one, and reading one.

Two SentencePiece models, the token id of each piece, and settings.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformer_jax.config.data import DataConfig, TokenizerConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.json_files import is_text, read_json, write_json
from transformer_jax.interop.marian_settings import max_positions
from transformer_jax.tokenizer.piece_order import (
    SpecialPieces,
    model_kind,
    order_pieces,
    pieces_of,
    special_pieces,
    without_codes,
)
from transformer_jax.tokenizer.tokenizer import Tokenizer

_SIDES = ("source", "target")
_VOCABULARIES = {"source": "vocab.json", "target": "target_vocab.json"}


def write_tokenizer(
    directory: Path, config: ExperimentConfig, tokenizer: Tokenizer
) -> None:
    """Writes both models, the vocabulary of each, and settings.

    Raises:
        InputError: source and target have other special pieces, which the format
            cannot hold.
    """
    models = {"source": tokenizer.source_model, "target": tokenizer.target_model}
    pieces = {side: pieces_of(model) for side, model in models.items()}
    separate = pieces["source"] != pieces["target"]
    special = _pieces_in_use(tokenizer)
    for name, piece in special.items():
        source, target = (
            each.index(piece) if piece in each else None for each in pieces.values()
        )
        if source is None or source != target:
            raise InputError(
                f"the {name} {piece!r} must have the same id in both vocabularies of "
                "Marian's format: this model stays here."
            )
    for side, model in models.items():
        (directory / f"{side}.spm").write_bytes(without_codes(model))
        if side == "source" or separate:
            ids = {piece: number for number, piece in enumerate(pieces[side])}
            write_json(directory / _VOCABULARIES[side], ids)
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": config.data.source_language,
        "target_lang": config.data.target_language,
        "separate_vocabs": separate,
        **special,
        "model_max_length": max_positions(config) // 2,
        "clean_up_tokenization_spaces": False,
    }
    write_json(directory / "tokenizer_config.json", settings)


def _pieces_in_use(tokenizer: Tokenizer) -> dict[str, str]:
    """Returns the special pieces that the tokenizer uses, as their settings' names.

    Where a model has no padding, that is the end of sentence: a name of a piece that
    there is not would be added as a token beyond the embeddings.
    """
    pieces = special_pieces(tokenizer.target_model)
    return {
        "unk_token": pieces.unk,
        "eos_token": pieces.eos,
        "pad_token": pieces.pad,
    }


def read_tokenizer(
    directory: Path, settings: Mapping[str, Any]
) -> tuple[Tokenizer, TokenizerConfig, tuple[str, ...]]:
    """Returns the tokenizer, its settings, and notes for people.

    Args:
        settings: of `config.json`, whose sizes are known to be numbers.

    Raises:
        InputError: a file is missing or damaged, or does not fit the others; the
            message names it.
    """
    own = directory / "tokenizer_config.json"
    options = read_json(own) if own.exists() else {}
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
    ids = read_json(path)
    for piece in ids:
        if not piece or not is_text(piece):
            raise InputError(f"{path}: the piece {piece!a:.60} is no text.")
    numbers = all(type(n) is int and 0 <= n < size for n in ids.values())
    places = {number: piece for piece, number in ids.items()} if numbers else {}
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
    unk = unk.get("content") if isinstance(unk, dict) else unk
    if not isinstance(unk, str) or unk not in pieces:
        raise InputError(f"{path} has no piece for unknown characters, {unk!r}.")
    found = SpecialPieces(
        bos=named["decoder_start"], eos=named["eos"], pad=named["pad"], unk=unk
    )
    if found.unk in (found.bos, found.eos, found.pad):
        raise InputError(
            f"{path}: unknown {found.unk!r} must be another piece than begin "
            f"{found.bos!r}, end {found.eos!r} and padding {found.pad!r}."
        )
    return found


def read_languages(directory: Path) -> tuple[str, str]:
    """Returns the languages that the tokenizer's settings name, or the defaults."""
    path = directory / "tokenizer_config.json"
    options = read_json(path) if path.exists() else {}
    default = DataConfig()
    named = {"source_lang": default.source_language}
    named["target_lang"] = default.target_language
    for name in named:
        value = options.get(name) or named[name]
        if not is_text(value):
            raise InputError(f"{path}: {name}={value!a:.60} is no text.")
        named[name] = value
    return named["source_lang"], named["target_lang"]
