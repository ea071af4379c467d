"""The command `translate`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    DecodingFlags,
)
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import load_translator, parse_checkpoint
from transformer_jax.commands.output import print_note
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    show_log,
    translate_on_all_cores,
)
from transformer_jax.file_translation.input_rows import CHUNK_LINES

# Arguments of `translate_file` as its errors name them, and as the shell's user does.
_FLAGS = {
    "resume=True": "--continue",
    "input=": "--input",
    "output=": "--output",
    "n_best=": "--n-best ",
    "chunk_lines=": "--chunk-lines ",
}


def translate(
    workdir: tyro.conf.Positional[str],
    /,
    input: Path | None = None,
    output: Path | None = None,
    resume: Annotated[
        tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(name="continue")
    ] = False,
    n_best: int = 1,
    format: Literal["text", "jsonl"] = "text",
    alignments: bool = False,
    prefixes: Path | None = None,
    checkpoint: str = "latest",
    ensemble: tuple[str, ...] = (),
    chunk_lines: int = CHUNK_LINES,
    progress: bool = True,
    decoding: DecodingFlags = AS_CONFIGURED,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Translate lines of text: one line in, one line out.

    The output grows in whole chunks as OUTPUT.partial, which an interruption leaves;
    the same command with --continue goes on with it. Settings of decoding that are
    left out are those of the training.

    Args:
        workdir: a trained work directory, or one checkpoint in it.
        input: file to read, one sentence a line, plain or .gz; default standard input.
        output: file to write; default standard output.
        resume: go on with what an interrupted job has left, if it has left anything.
        n_best: translations of each line, best first.
        format: text, or one JSON object a line with scores and subwords.
        alignments: also which source word each word comes from, as 0-0 2-1.
        prefixes: file with what each translation has to begin with, one a line.
        checkpoint: latest, best, average or a step.
        ensemble: more work directories or checkpoints, whose probabilities are
            averaged with those of the first.
        chunk_lines: lines translated together, and written together.
        progress: show progress on standard error.
    """
    show_log(progress)
    parse_checkpoint(checkpoint)  # Before JAX is imported, which takes seconds.
    translate_on_all_cores()
    processes.start()
    import jax

    from transformer_jax.config.experiment import MeshConfig
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.devices.mesh import make_mesh
    from transformer_jax.file_translation.translate import translate_file

    # Each process translates lines of its own.
    mesh = make_mesh(MeshConfig(), jax.local_devices())
    translator = load_translator(workdir, checkpoint, ensemble, mesh)
    with flags_in_errors(_FLAGS, decoding=True):
        taken = translate_file(
            translator,
            input,
            output,
            n_best=n_best,
            format=format,
            alignments=alignments,
            prefixes=prefixes,
            resume=resume,
            chunk_lines=chunk_lines,
            progress=progress,
            **decoding,
        )
    if is_primary():
        print_note(
            f"{taken.lines:,} lines in {taken.seconds:,.1f} s: "
            f"{taken.lines_per_second:,.1f} sentences/s, {taken.compilations} programs "
            "compiled"
        )
