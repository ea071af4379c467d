"""A trained model as a directory that `ctranslate2.Translator` loads."""

import importlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from transformer_jax.checkpoints.choosing import Which
from transformer_jax.checkpoints.named_arrays import Checkpoint, load_checkpoint
from transformer_jax.config.checks import require_type
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.ctranslate2_parameters import (
    check_can_be_ctranslate2,
    make_specification,
)
from transformer_jax.interop.ctranslate2_parity import (
    CTranslate2Parity,
    OurOutputs,
    compare_with_ctranslate2,
)
from transformer_jax.interop.ctranslate2_program import CTranslate2Program
from transformer_jax.interop.ctranslate2_readme import (
    PARITY,
    README,
    parity_json,
    readme,
)
from transformer_jax.interop.optional_packages import require_package
from transformer_jax.interop.parity_error import ParityError
from transformer_jax.interop.parity_sample import read_sample
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.storage.new_directory import check_new_directory, new_directory
from transformer_jax.storage.work_directory import PathLike, work_directory
from transformer_jax.translation.translator import Translator
from transformer_jax.version import VERSION

Quantization = Literal[
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16",
    "int8_bfloat16",
]  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CTranslate2Export:
    """A directory in CTranslate2's format, and how well it agrees.

    Example:
        >>> export = tj.export_ctranslate2(workdir, "for_ctranslate2")
        >>> sorted(path.name for path in export.directory.iterdir())[:3]
        ['README.md', 'config.json', 'model.bin']
    """

    directory: Path
    checkpoint: str
    """The directory of the checkpoint it was made from."""
    quantization: Quantization
    parity: CTranslate2Parity
    """The exported model beside ours."""


def export_ctranslate2(
    workdir: PathLike,
    output: PathLike,
    *,
    checkpoint: Which = "latest",
    quantization: Quantization = "float32",
    sample: PathLike | None = None,
) -> CTranslate2Export:
    """Writes a model in CTranslate2's format; returns what was compared.

    The directory has the vocabularies, the SentencePiece models, and a README with a
    program that runs and the settings that give the same text. A sample is translated
    in both programs: in float32 all must be the same before anything is written; of
    other types it is told how many outputs differ.

    Args:
        workdir: a work directory, or the directory of one checkpoint.
        output: a new directory on a disk.
        checkpoint: "latest", "best", "average" or a step.
        quantization: type of the weights; bfloat16 needs the package torch.
        sample: a file of sentences to compare on, the first lines of which are used.
            None = eight of several languages.

    Raises:
        InputError: ctranslate2 is not installed, the format cannot hold the model (the
            message names the setting), or the output is there already.
        ParityError: the two programs do not agree in float32.

    Example:
        >>> export = tj.export_ctranslate2(workdir, "in_8_bits", quantization="int8")
        >>> export.parity.greedy.sentences
        8
    """
    if quantization not in get_args(Quantization):
        raise InputError(
            f"quantization={quantization!r} is unknown: use one of "
            f"{', '.join(get_args(Quantization))}."
        )
    require_type("sample", sample, str | os.PathLike | None)
    ctranslate2 = require_package("ctranslate2", extra="ctranslate2")
    if "bfloat16" in quantization:
        require_package("torch", extra="ctranslate2-bfloat16")
    check_new_directory(output)
    sentences = read_sample(None if sample is None else Path(sample))
    loaded = load_checkpoint(workdir, checkpoint)
    check_can_be_ctranslate2(loaded.config)
    translator = Translator(
        loaded.config.replace(mesh=MeshConfig()), loaded.tree, loaded.tokenizer
    )
    ours = OurOutputs(translator, sentences)
    with new_directory(output) as partial:
        parity = _write_and_compare(ctranslate2, loaded, ours, partial, quantization)
        _write_descriptions(loaded, partial, quantization, parity)
    directory = Path(os.fspath(work_directory(output)))
    logger.info("exported %s to %s", loaded.directory, directory)
    return CTranslate2Export(directory, loaded.directory, quantization, parity)


def _write_and_compare(
    ctranslate2: Any,
    loaded: Checkpoint,
    ours: OurOutputs,
    directory: Path,
    quantization: Quantization,
) -> CTranslate2Parity:
    """Writes the model and compares it; before any other type, that in float32.

    Numbers of fewer bits would hide a parameter in the wrong place.

    Raises:
        ParityError: the programs differ in float32.
    """
    if quantization == "float32":
        parity = _compare(ctranslate2, loaded, ours, directory, quantization)
        if not parity.is_same:
            raise ParityError(
                "CTranslate2 and this package do not agree on this model in float32, "
                f"nothing was written: {json.dumps(parity.to_dict())}"
            )
        return parity
    exact = directory / "float32"
    exact.mkdir()
    _write_and_compare(ctranslate2, loaded, ours, exact, "float32")
    shutil.rmtree(exact)
    return _compare(ctranslate2, loaded, ours, directory, quantization)


def _compare(
    ctranslate2: Any,
    loaded: Checkpoint,
    ours: OurOutputs,
    directory: Path,
    quantization: Quantization,
) -> CTranslate2Parity:
    # Its quantization writes into the arrays that it is given.
    params = {name: np.array(array) for name, array in loaded.params.items()}
    specs = importlib.import_module("ctranslate2.specs")
    spec = make_specification(specs, loaded.config.model, params, loaded.tokenizer)
    spec.validate()
    spec.optimize(quantization=None if quantization == "float32" else quantization)
    spec.save(str(directory))
    forbidden = loaded.config.decoding.forbidden_tokens
    limit = max_position(loaded.config.model)
    program = CTranslate2Program(
        ctranslate2, str(directory), loaded.tokenizer, forbidden, limit
    )
    return compare_with_ctranslate2(ours, program)


def _write_descriptions(
    loaded: Checkpoint,
    directory: Path,
    quantization: Quantization,
    parity: CTranslate2Parity,
) -> None:
    loaded.tokenizer.save(directory)
    page = readme(
        loaded.config, loaded.tokenizer, quantization, loaded.directory, VERSION, parity
    )
    (directory / README).write_text(page, encoding="utf-8")
    described = {"checkpoint": loaded.directory, "quantization": quantization}
    versions = {"transformer_jax": VERSION, "ctranslate2": version("ctranslate2")}
    report = parity_json(parity, **described, **versions)
    (directory / PARITY).write_text(report, encoding="utf-8")
