"""The command `export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import Workdir, note_checkpoint, parse_checkpoint
from transformer_jax.commands.output import print_json
from transformer_jax.storage.text_streams import check_input

if TYPE_CHECKING:
    from transformer_jax.interop.export_model import Report

# Arguments of `export_model` as its errors name them, and as the shell's user does.
_FLAGS = {
    "output=": "--output ",
    "sample=": "--sample ",
    "license=": "--license ",
    "quantization=": "--quantization ",
}


def export(
    workdir: Workdir,
    /,
    output: str,
    format: Literal["hugging-face", "ctranslate2"] = "hugging-face",
    quantization: Literal[
        "float32",
        "float16",
        "bfloat16",
        "int16",
        "int8",
        "int8_float32",
        "int8_float16",
        "int8_bfloat16",
    ] = "float32",
    checkpoint: str = "latest",
    license: str | None = None,
    sample: Path | None = None,
    compare: bool = True,
) -> None:
    """Write a trained model as a directory that another program loads.

    Both programs run the model on a sample before the directory appears: if they do not
    do the same, nothing is written. The report stands in parity.json.

    Args:
        workdir: a trained work directory, or one checkpoint in it.
        output: directory to write, which is not there yet.
        format: hugging-face: for MarianMTModel and MarianTokenizer of transformers;
            ctranslate2: for its Translator, with a program to run in the README.
        quantization: type of the weights, of ctranslate2 only; of any but float32 it is
            told how many outputs differ.
        checkpoint: latest, best, average or a step.
        license: for the README, as apache-2.0.
        sample: text in the source language whose first 64 lines are compared; default,
            sentences of several languages.
        compare: compare with the other program, which has to be installed.
    """
    which = parse_checkpoint(checkpoint)
    check_input(sample)
    from transformer_jax.interop.export_model import export_model

    which = note_checkpoint(workdir, which)
    with flags_in_errors(_FLAGS):
        done = export_model(
            workdir,
            output,
            format=format,
            quantization=quantization,
            checkpoint=which,
            license=license,
            sample=sample,
            compare=compare,
        )
    print_json(
        {
            "directory": str(done.directory),
            "format": done.format,
            "parity": report_values(done.parity),
        }
    )


def report_values(report: "Report | None") -> dict[str, object] | None:
    """Returns a report as JSON values, None where nothing was compared."""
    return None if report is None else report.to_dict()
