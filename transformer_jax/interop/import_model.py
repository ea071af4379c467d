"""A model of another program as a work directory that every command reads."""

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from transformer_jax.checkpoints.reader import CHECKPOINTS
from transformer_jax.checkpoints.saving_parameters import save_parameters
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_store
from transformer_jax.errors import InputError
from transformer_jax.interop.export_model import Report, write_report
from transformer_jax.interop.hugging_face import read_description, read_marian
from transformer_jax.interop.marian_directory import (
    DECODER_FILE,
    compare_with_converted,
    read_marian_directory,
)
from transformer_jax.interop.marian_program import MarianProgram, require_transformers
from transformer_jax.interop.parity import require_parity
from transformer_jax.interop.parity_sample import read_sample
from transformer_jax.model.params import Params
from transformer_jax.storage.new_directory import check_new_directory, new_directory
from transformer_jax.storage.work_directory import PathLike, work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.start import CONFIG_FILE
from transformer_jax.translation.translator import Translator

# An imported model has made no updates.
_STEP = 0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Imported:
    """A work directory with the model of another program.

    Example:
        >>> from pathlib import Path
        >>> tj.Imported(directory=Path("runs/opus"), parity=None).directory.name
        'opus'
    """

    directory: Path
    parity: Report | None
    """What was compared; None where that was turned off."""


_Read: TypeAlias = tuple[ExperimentConfig, Params, Tokenizer, Report | None]


def import_model(
    directory: PathLike,
    output: PathLike,
    *,
    sample: Path | str | None = None,
    compare: bool = True,
) -> Imported:
    """Writes a Marian model of Hugging Face, or Marian's own, as a work directory.

    Its checkpoint is that of step 0. `Translator.from_checkpoint`, `score`, `evaluate`,
    `average_checkpoints` and `training.initial_checkpoint` read it like any other. Both
    programs run the model on a sample, see `ParityReport`; the work directory appears
    when they do the same. Needs `pip install 'transformer-jax[hugging-face]'`; for
    Marian's own, which is compared with what CTranslate2's converter makes of it, the
    extra `ctranslate2`.

    Args:
        directory: with `config.json`, `model.safetensors` or `pytorch_model.bin`,
            `source.spm`, `target.spm` and `vocab.json`, as OPUS-MT is published; or
            with `decoder.yml`, and the `.npz`, `.yml` and `.spm` files of Marian.
        output: a work directory that is not there yet.
        sample: text file whose first 64 lines are compared. None = sentences of several
            languages.
        compare: False: without comparison.

    Raises:
        InputError: it is no Marian model, or has what this package cannot compute (the
            message names the setting); the work directory is there already, or a
            package is missing.
        ParityError: the programs do not do the same; nothing is left.

    Example:
        >>> tj.import_model(workdir, "imported")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        transformer_jax.errors.InputError: ...is no Marian model of Hugging Face...
    """
    sentences = read_sample(None if sample is None else Path(sample))
    local = check_new_directory(output, source=directory)
    theirs = Path(str(work_directory(directory)))
    if not theirs.is_dir():
        raise InputError(f"{theirs} is no directory: name one with a Marian model.")
    is_own = (theirs / DECODER_FILE).is_file()
    read = _from_marian if is_own else _from_hugging_face
    config, params, tokenizer, report = read(theirs, sentences if compare else None)
    with new_directory(local) as partial:
        save_parameters(partial / CHECKPOINTS / str(_STEP), config, params, tokenizer)
        tokenizer.save(partial)
        text = json.dumps(config_to_store(config), indent=2) + "\n"
        (partial / CONFIG_FILE).write_text(text, encoding="utf-8")
        if report is not None:
            write_report(report, partial, imported_from=str(theirs))
    return Imported(local, report)


def _from_hugging_face(theirs: Path, sample: tuple[str, ...] | None) -> _Read:
    described = read_description(theirs)  # All that can be said before it is loaded.
    require_transformers()
    program = MarianProgram(theirs)
    config, params = read_marian(theirs, described, program)
    tokenizer, notes = described.tokenizer, described.notes
    report = None
    if sample is not None:
        own = Translator(config, params, tokenizer)
        report = require_parity(own, program, sample)
        report = dataclasses.replace(report, notes=(*report.notes, *notes))
    _warn(notes)
    return config, params, tokenizer, report


def _from_marian(theirs: Path, sample: tuple[str, ...] | None) -> _Read:
    config, params, tokenizer, notes = read_marian_directory(theirs)
    report = None
    if sample is not None:
        report = compare_with_converted(theirs, config, params, tokenizer, sample)
        report = dataclasses.replace(report, notes=(*report.notes, *notes))
    _warn(notes)
    return config, params, tokenizer, report


def _warn(notes: tuple[str, ...]) -> None:
    for note in notes:
        logger.warning("%s", note)
