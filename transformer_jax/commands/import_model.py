"""The command `import`."""

from pathlib import Path
from typing import Annotated

import tyro

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.export import report_values
from transformer_jax.commands.output import print_json
from transformer_jax.storage.text_streams import check_input

# Arguments of `import_model` as its errors name them, and as the shell's user does.
_FLAGS = {"output=": "--output ", "sample=": "--sample "}


def import_model(
    directory: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIRECTORY")],
    /,
    output: str,
    sample: Path | None = None,
    compare: bool = True,
) -> None:
    """Make a work directory of a Marian model, as those of OPUS-MT.

    Both programs run the model on a sample before the work directory appears: if they
    do not do the same, nothing is written. The report stands in parity.json.

    Args:
        directory: with config.json, weights, source.spm, target.spm and vocab.json, as
            on Hugging Face; or Marian's own, with decoder.yml.
        output: work directory to write, which is not there yet.
        sample: text in the source language whose first 64 lines are compared; default,
            sentences of several languages.
        compare: compare what both programs do with the model.
    """
    check_input(sample)
    from transformer_jax.interop import import_model as interop

    with flags_in_errors(_FLAGS):
        done = interop.import_model(directory, output, sample=sample, compare=compare)
    print_json({"directory": str(done.directory), "parity": report_values(done.parity)})
