"""A directory of Marian's own: reading it, and the program it is compared with."""

import dataclasses
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.checkpoints.named_arrays import tree_of
from transformer_jax.config.data import TokenizerConfig
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.ctranslate2_format import EXTRA
from transformer_jax.interop.ctranslate2_parity import (
    CTranslate2Parity,
    OurOutputs,
    compare_with_ctranslate2,
)
from transformer_jax.interop.ctranslate2_program import CTranslate2Program
from transformer_jax.interop.json_files import is_text
from transformer_jax.interop.marian_npz import embedding_rows, npz_parameters
from transformer_jax.interop.marian_options import config_of_npz, decoding_of_options
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.interop.parity_report import ParityError
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.piece_order import (
    SpecialPieces,
    model_kind,
    order_pieces,
    pieces_of,
)
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.translator import Translator

DECODER_FILE = "decoder.yml"
_OPTIONS = "special:model.yml"
_SPECIAL = SpecialPieces(bos="<pad>", eos="</s>", pad="<pad>", unk="<unk>")
# Of LayerNorm in what CTranslate2 makes of Marian's models; Marian's own is 1e-6.
_THEIR_EPSILON = 1e-5

Arrays = dict[str, np.ndarray]


def read_marian_directory(
    directory: Path, *, own_positions: bool = False
) -> tuple[ExperimentConfig, Params, Tokenizer, tuple[str, ...]]:
    """Returns settings, parameters and tokenizer of a directory, and notes for people.

    Marian begins an output with a vector of zeros. Here that is the embedding of a
    token `<pad>`, which is added as the last one and never an output.

    Args:
        directory: with `decoder.yml`, and what it names: one model, and a vocabulary
            for each side as `.yml` with `source.spm` and `target.spm`, or as `.spm`.
        own_positions: with Marian's own sinusoids, which differ a little from the
            paper's, as a learned table. transformers and CTranslate2 have the paper's.

    Raises:
        InputError: a file is missing or damaged, or the model is another architecture;
            the message names the file and the option.
    """
    search = _read_search(directory)
    path = directory / search["models"][0]
    arrays, options = read_npz(path)
    try:
        model = config_of_npz(options, arrays, own_positions=own_positions)
        params = tree_of(npz_parameters(arrays, model))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    tokenizer, notes = _read_tokenizer(directory, search["vocabs"], model.vocab_size)
    kind, byte_fallback = model_kind(tokenizer.source_model)
    try:
        decoding = decoding_of_options(search, tokenizer.pad_id, tokenizer.unk_id)
    except InputError as error:
        raise InputError(f"{directory / DECODER_FILE}: {error}") from None
    config = ExperimentConfig(
        model=model,
        tokenizer=TokenizerConfig(
            kind=kind,  # type: ignore[arg-type]
            shared=model.share_embeddings == "all",
            byte_fallback=byte_fallback,
        ),
        decoding=decoding,
    )
    return config, params, tokenizer, notes


def read_npz(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Returns the arrays of a file, and the options it was trained with.

    Raises:
        InputError: there is no such file, or it is none of Marian's.
    """
    yaml = _load_yaml()
    try:
        with np.load(path) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        options = yaml.safe_load(arrays.pop(_OPTIONS).tobytes().rstrip(b"\0"))
    except KeyError:
        raise InputError(
            f"{path} has no {_OPTIONS}: it is not as Marian writes models."
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile, yaml.YAMLError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(options, dict):
        raise InputError(f"{path}: {_OPTIONS} is no table of options.")
    return arrays, options


def compare_with_converted(
    directory: Path,
    config: ExperimentConfig,
    params: Params,
    tokenizer: Tokenizer,
    sample: Sequence[str],
) -> CTranslate2Parity:
    """Returns how a model agrees with what CTranslate2's converter makes of its file.

    Marian itself is no package of Python. Both are compared with the LayerNorm of
    CTranslate2, and with its positions, which are the paper's.

    Raises:
        InputError: ctranslate2 is not installed, or cannot convert the model.
        ParityError: they do not agree.
    """
    program = converted_program(directory, tokenizer)
    theirs = dataclasses.replace(config.model, norm_epsilon=_THEIR_EPSILON)
    decoding = config.decoding.replace(forbidden_tokens=(tokenizer.pad_id,))
    same = config.replace(model=theirs, decoding=decoding, mesh=MeshConfig())
    path = directory / _read_search(directory)["models"][0]
    known = embedding_rows(read_npz(path)[0])
    ours = OurOutputs(Translator(same, params, tokenizer), sample, known)
    parity = compare_with_ctranslate2(ours, program)
    if parity.difference is not None:
        raise ParityError(
            f"{parity.program}, with the model as its converter reads it, does not do "
            f"what this package does: {parity.difference}; nothing was written."
        )
    return parity


def converted_program(directory: Path, tokenizer: Tokenizer) -> CTranslate2Program:
    """Returns what CTranslate2's converter makes of the model in a directory.

    Raises:
        InputError: ctranslate2 is not installed, or cannot convert the model.
    """
    with explain_missing(EXTRA):
        import ctranslate2
        import ctranslate2.converters
    path = directory / _read_search(directory)["models"][0]
    rows = embedding_rows(read_npz(path)[0])
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        sides = {
            "source": tokenizer.source_pieces(range(rows[0])),
            "target": tokenizer.target_pieces(range(rows[1])),
        }
        for side, pieces in sides.items():
            _write_vocabulary(Path(folder) / f"{side}.yml", pieces)
        vocabularies = [str(Path(folder) / f"{side}.yml") for side in sides]
        try:
            ctranslate2.converters.MarianConverter(str(path), vocabularies).convert(
                str(output)
            )
        except (ValueError, KeyError) as error:
            raise _unreadable(path, error) from None
        return CTranslate2Program(ctranslate2, output, tokenizer)


def read_vocabulary(path: Path) -> list[str]:
    """Returns the pieces of a vocabulary of Marian, by token id.

    Raises:
        InputError: it is none.
    """
    yaml = _load_yaml()
    try:
        # All as text: a piece may be "no", "1" or "=".
        ids = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        numbers = {int(number): piece for piece, number in ids.items()}
    except (
        OSError, ValueError, TypeError, AttributeError, yaml.YAMLError
    ) as error:  # fmt: skip
        raise _unreadable(path, error) from None
    for piece in ids:
        if not piece or not is_text(piece):
            raise InputError(f"{path}: the piece {piece!a:.60} is no text.")
    if sorted(numbers) != list(range(len(ids))):
        raise InputError(f"{path}: its token ids are not 0 to {len(ids) - 1}.")
    return [numbers[number] for number in range(len(ids))]


def _read_search(directory: Path) -> dict[str, Any]:
    """Returns the options of `decoder.yml`, all as text."""
    path = directory / DECODER_FILE
    yaml = _load_yaml()
    try:
        options = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unreadable(path, error) from None
    for name, number in (("models", 1), ("vocabs", 2)):
        value = options.get(name) if isinstance(options, Mapping) else None
        names = value if isinstance(value, list) else []
        if len(names) != number or not all(isinstance(each, str) for each in names):
            raise InputError(
                f"{path}: {name}={value!r:.80} must list {number} file"
                f"{'s' if number > 1 else ''}."
            )
    return dict(options)


def _read_tokenizer(
    directory: Path, vocabularies: Sequence[str], size: int
) -> tuple[Tokenizer, tuple[str, ...]]:
    models, notes = [], []
    for side, name in zip(("source", "target"), vocabularies, strict=True):
        path = directory / name
        spm = path if path.suffix == ".spm" else directory / f"{side}.spm"
        try:
            contents = spm.read_bytes()
        except OSError as error:
            raise _unreadable(spm, error) from None
        pieces = pieces_of(contents) if spm == path else read_vocabulary(path)
        if len(pieces) > size - 1:
            raise InputError(
                f"{path} has {len(pieces)} pieces, the model {size - 1} embeddings."
            )
        if _SPECIAL.pad in pieces or not {_SPECIAL.eos, _SPECIAL.unk} <= {*pieces}:
            raise InputError(
                f"{path} must have {_SPECIAL.eos} and {_SPECIAL.unk}, and no "
                f"{_SPECIAL.pad}, as Marian's vocabularies."
            )
        unused = [f"<unused{number}>" for number in range(len(pieces), size - 1)]
        try:
            ordered = order_pieces(contents, [*pieces, *unused, "<pad>"], _SPECIAL)
        except InputError as error:
            raise InputError(f"{spm}: {error}") from None
        models.append(ordered.model)
        if ordered.missing:
            notes.append(
                f"{spm.name} has {len(ordered.missing)} pieces that {path.name} lacks, "
                f"as {ordered.missing[0]!r}: Marian reads them as unknown, here they "
                "are made of others."
            )
    return Tokenizer(*models), tuple(notes)


def _write_vocabulary(path: Path, pieces: Sequence[str]) -> None:
    lines = [
        f"{json.dumps(piece, ensure_ascii=False)}: {number}\n"
        for number, piece in enumerate(pieces)
    ]
    path.write_text("".join(lines), encoding="utf-8")


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{path} cannot be read ({reason:.160}).")


def _load_yaml() -> Any:
    with explain_missing(EXTRA):  # Which needs it, as Flax does.
        import yaml
    return yaml
