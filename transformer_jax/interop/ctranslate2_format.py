"""A trained model as a directory that `ctranslate2.Translator` loads."""

import shutil
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from transformer_jax.checkpoints.named_arrays import arrays_by_name
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
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
from transformer_jax.interop.ctranslate2_readme import readme
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.interop.parity_report import ParityError
from transformer_jax.model.params import Params
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.translator import Translator

Quantization: TypeAlias = Literal[
    "float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16",
    "int8_bfloat16",
]  # fmt: skip

EXTRA = "ctranslate2"


def check_ctranslate2(config: ExperimentConfig, quantization: Quantization) -> None:
    """Checks that a model can be written with weights of a type.

    Raises:
        InputError: the format cannot hold the model (the message names the setting), or
            a package is missing.
    """
    check_can_be_ctranslate2(config)
    load_ctranslate2()
    if "bfloat16" in quantization:
        with explain_missing("hugging-face"):
            import torch

            del torch


def load_ctranslate2() -> Any:
    """Returns the package, its specifications loaded.

    Raises:
        InputError: it is not installed.
    """
    with explain_missing(EXTRA):
        import ctranslate2
        import ctranslate2.specs
    return ctranslate2


def write_ctranslate2(
    directory: Path,
    config: ExperimentConfig,
    params: Params,
    tokenizer: Tokenizer,
    *,
    quantization: Quantization = "float32",
    origin: str = "a model",
    license: str | None = None,
    sample: tuple[str, ...] | None = None,
) -> CTranslate2Parity | None:
    """Writes a model, its vocabularies, its SentencePiece models and a README.

    In float32 the programs must agree on the sample; of other types it is told how many
    outputs differ, and agreement is asked of the same model in float32.

    Args:
        directory: an empty one.
        origin: which checkpoint it is, for people.
        license: for the README.
        sample: sentences to compare on; None = no comparison.

    Returns:
        What was compared.

    Raises:
        InputError: as `check_ctranslate2`.
        ParityError: the two programs do not agree in float32.
    """
    check_ctranslate2(config, quantization)
    arrays = {name: np.asarray(array) for name, array in arrays_by_name(params)}
    export = _Export(config, arrays, tokenizer)
    parity = None
    if sample is None:
        export.write(directory, quantization)
    else:
        translator = Translator(config.replace(mesh=MeshConfig()), params, tokenizer)
        ours = OurOutputs(translator, sample)
        parity = export.write_and_compare(directory, quantization, ours)
    tokenizer.save(directory)
    page = readme(config, tokenizer, quantization, origin, license, parity)
    (directory / "README.md").write_text(page, encoding="utf-8")
    return parity


class _Export:
    """A model to be written with weights of several types."""

    def __init__(
        self,
        config: ExperimentConfig,
        arrays: dict[str, np.ndarray],
        tokenizer: Tokenizer,
    ) -> None:
        self._config, self._arrays, self._tokenizer = config, arrays, tokenizer
        self._ctranslate2 = load_ctranslate2()

    def write_and_compare(
        self, directory: Path, quantization: Quantization, ours: OurOutputs
    ) -> CTranslate2Parity:
        """Writes the model and compares it; before any other type, that in float32.

        Numbers of fewer bits would hide a parameter in the wrong place.
        """
        if quantization != "float32":
            exact = directory / "float32"
            exact.mkdir()
            self.write_and_compare(exact, "float32", ours)
            shutil.rmtree(exact)
        self.write(directory, quantization)
        program = CTranslate2Program(
            self._ctranslate2,
            directory,
            self._tokenizer,
            self._config.decoding.forbidden_tokens,
            max_position(self._config.model),
        )
        parity = compare_with_ctranslate2(ours, program, quantization)
        if quantization == "float32" and parity.difference is not None:
            raise ParityError(
                f"{parity.program} does not do what this package does with the model: "
                f"{parity.difference}; nothing was written."
            )
        return parity

    def write(self, directory: Path, quantization: Quantization) -> None:
        """Writes weights, vocabularies and settings."""
        # Its quantization writes into the arrays that it is given.
        arrays = {name: np.array(array) for name, array in self._arrays.items()}
        spec = make_specification(
            self._ctranslate2.specs, self._config.model, arrays, self._tokenizer
        )
        spec.validate()
        spec.optimize(quantization=None if quantization == "float32" else quantization)
        spec.save(str(directory))
