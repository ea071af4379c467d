"""Trained models in the formats of other programs, compared before they are there."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from transformer_jax.checkpoints.choosing import Which, checkpoint_dir, load_chosen
from transformer_jax.checkpoints.contents import averaged_steps
from transformer_jax.checkpoints.named_arrays import arrays_by_name
from transformer_jax.checkpoints.validation_file import read_validation
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.ctranslate2_format import (
    Quantization,
    check_ctranslate2,
    write_ctranslate2,
)
from transformer_jax.interop.ctranslate2_parity import CTranslate2Parity
from transformer_jax.interop.hugging_face import write_marian
from transformer_jax.interop.marian_program import (
    EXTRA,
    MarianProgram,
    require_transformers,
)
from transformer_jax.interop.marian_settings import check_can_be_marian
from transformer_jax.interop.model_card import ModelCard
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.interop.parity import require_parity
from transformer_jax.interop.parity_report import ParityReport
from transformer_jax.interop.parity_sample import read_sample
from transformer_jax.model.params import Params
from transformer_jax.storage.json_values import finite_or_none
from transformer_jax.storage.new_directory import check_new_directory, new_directory
from transformer_jax.storage.path_names import readable_name
from transformer_jax.storage.work_directory import PathLike, StoredPath, work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.arguments import require_translation
from transformer_jax.translation.translator import Translator

Format: TypeAlias = Literal["hugging-face", "ctranslate2"]

Report: TypeAlias = ParityReport | CTranslate2Parity

PARITY_FILE = "parity.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A directory that another program loads.

    Example:
        >>> from pathlib import Path
        >>> done = tj.Exported(Path("mine-hf"), format="hugging-face", parity=None)
        >>> done.directory.name
        'mine-hf'
    """

    directory: Path
    format: Format
    parity: Report | None
    """What was compared; None where that was turned off."""


@dataclass(frozen=True)
class Source:
    """What is exported, and what is said of it."""

    config: ExperimentConfig
    params: Params
    tokenizer: Tokenizer
    name: str
    """Of the work directory."""
    directory: StoredPath
    """Of the checkpoint."""
    license: str | None
    quantization: Quantization

    @property
    def described(self) -> str:
        """Which checkpoint it is, for people."""
        averaged = averaged_steps(self.directory)
        if averaged:
            return f"the average of the checkpoints of steps {_list_steps(averaged)}"
        step = self.directory.name
        return f"the checkpoint of step {step}" if step.isdecimal() else "a checkpoint"


@dataclass(frozen=True)
class _Exporter:
    """How one format is written."""

    check: Callable[[ExperimentConfig, bool, Quantization], None]
    """`(settings, whether it is compared, quantization)`: raises InputError before any
    work."""
    write: Callable[[Path, Source, tuple[str, ...] | None], Report | None]
    """`(empty directory, source, sample)`: writes it; compares on a sample."""


def export_model(
    workdir: PathLike,
    output: PathLike,
    *,
    format: Format = "hugging-face",
    quantization: Quantization = "float32",
    checkpoint: Which = "latest",
    license: str | None = None,
    sample: Path | str | None = None,
    compare: bool = True,
) -> Exported:
    """Writes a trained model as a directory that another program loads.

    `hugging-face`: `MarianMTModel` and `MarianTokenizer` of transformers; needs
    `pip install 'transformer-jax[hugging-face]'`. `ctranslate2`: its `Translator`, with
    a program to run in the README; needs the extra `ctranslate2`. Both programs then
    run the model on a sample, see `ParityReport` and `CTranslate2Parity`; the directory
    appears when they do the same.

    Args:
        workdir: a work directory, or the directory of one checkpoint.
        output: a directory that is not there yet.
        quantization: type of the weights, of `ctranslate2` only. Of any but float32 it
            is told how many outputs differ; the same in float32 must agree.
        checkpoint: "latest", "best", "average" or a step.
        license: for the README, as "apache-2.0"; one line.
        sample: text file whose first 64 lines are compared. None = sentences of several
            languages.
        compare: False: without comparison, which the README then says; torch and
            transformers are not needed.

    Raises:
        InputError: there is no such checkpoint, the format cannot hold the model (the
            message names the setting), the directory is there already, or a package is
            missing.
        ParityError: the programs do not do the same; nothing is left.

    Example:
        >>> tj.export_model(workdir, "exported", checkpoint=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        transformer_jax.errors.InputError: ... has no checkpoint 1: choose one of ...
    """
    if format not in get_args(Format):
        raise InputError(
            f"format={format!r} is none that models are exported in: expected "
            f"{', '.join(get_args(Format))}."
        )
    if quantization not in get_args(Quantization):
        raise InputError(
            f"quantization={quantization!r} is unknown: expected one of "
            f"{', '.join(get_args(Quantization))}."
        )
    exporter = _EXPORTERS[format]
    sentences = read_sample(None if sample is None else Path(sample))
    local = check_new_directory(output, source=workdir)
    _check_license(license)
    chosen = checkpoint_dir(workdir, checkpoint)
    params, config, tokenizer = load_chosen(chosen)
    require_translation(config)
    for parameter, array in arrays_by_name(params):
        if not np.isfinite(array).all():
            raise InputError(f"{chosen}: {parameter} has numbers that are not finite.")
    exporter.check(config, compare, quantization)
    name = readable_name(work_directory(workdir).name)
    source = Source(config, params, tokenizer, name, chosen, license, quantization)
    with new_directory(local) as partial:
        report = exporter.write(partial, source, sentences if compare else None)
        if report is not None:
            write_report(report, partial)
    return Exported(local, format, report)


def _check_hugging_face(
    config: ExperimentConfig, compare: bool, quantization: Quantization
) -> None:
    if quantization != "float32":
        raise InputError(
            f"quantization={quantization!r} is of the format ctranslate2 only: leave "
            "it out."
        )
    check_can_be_marian(config.model)
    with explain_missing(EXTRA):
        import safetensors.numpy  # noqa: F401
    if compare:
        require_transformers()


def _write_hugging_face(
    directory: Path, source: Source, sample: tuple[str, ...] | None
) -> ParityReport | None:
    write_marian(directory, source.config, source.params, source.tokenizer)
    report = None
    if sample is not None:
        config = source.config.replace(mesh=MeshConfig())
        own = Translator(config, source.params, source.tokenizer)
        report = require_parity(own, MarianProgram(directory), sample)
    card = ModelCard(
        name=source.name,
        config=source.config,
        checkpoint=source.described,
        validation=read_validation(source.directory),
        license=source.license,
        parity=report,
    )
    (directory / "README.md").write_text(card.text(), encoding="utf-8")
    return report


def _check_ctranslate2(
    config: ExperimentConfig, compare: bool, quantization: Quantization
) -> None:
    check_ctranslate2(config, quantization)


def _write_ctranslate2(
    directory: Path, source: Source, sample: tuple[str, ...] | None
) -> CTranslate2Parity | None:
    return write_ctranslate2(
        directory,
        source.config,
        source.params,
        source.tokenizer,
        quantization=source.quantization,
        origin=f"{source.described} of `{source.name}`",
        license=source.license,
        sample=sample,
    )


_EXPORTERS: dict[Format, _Exporter] = {
    "hugging-face": _Exporter(_check_hugging_face, _write_hugging_face),
    "ctranslate2": _Exporter(_check_ctranslate2, _write_ctranslate2),
}


def write_report(report: Report, directory: Path, **others: Any) -> None:
    """Writes `parity.json` beside a model.

    Args:
        others: further JSON values.
    """
    values = finite_or_none({**report.to_dict(), **others})
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    # Paths may be any bytes; JSON has the same escapes.
    (directory / PARITY_FILE).write_bytes(text.encode(errors="backslashreplace"))


def _check_license(license: str | None) -> None:
    if license is not None and not (license.strip() and license.isprintable()):
        raise InputError(
            f"license={license!a:.60} is no name of a license: give one line, as "
            "apache-2.0, or leave it out."
        )


def _list_steps(steps: list[int]) -> str:
    return ", ".join(map(str, steps))
