"""The command `translate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    DecodingFlags,
)
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import (
    Workdir,
    check_alignments,
    load_translator,
    note_alignments,
    parse_checkpoint,
)
from transformer_jax.commands.output import print_note
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    show_log,
    translate_on_all_cores,
)
from transformer_jax.storage.outputs import find_output
from transformer_jax.storage.text_streams import check_input

if TYPE_CHECKING:
    from transformer_jax.file_translation.chunk import LineCount
    from transformer_jax.file_translation.translate import FileTranslation

# Arguments of `translate_file` as its errors name them, and as the shell's user does.
FLAGS = {
    "resume=True": "--continue",
    "input=": "--input",
    "output=": "--output",
    "n_best=": "--n-best ",
    "chunk_lines=": "--chunk-lines ",
    "on_error=": "--on-error ",
}


def translate(
    workdir: Workdir,
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
    chunk_lines: int | None = None,
    on_error: Literal["stop", "skip"] = "stop",
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
        input: file to read, one sentence a line, plain or .gz; default, or -, standard
            input.
        output: file to write, plain or .gz; default, or -, standard output.
        resume: go on with what an interrupted job has left, if it has left anything;
            an output that such a job has completed is left as it is.
        n_best: translations of each line, best first.
        format: text, or one JSON object a line with scores and subwords.
        alignments: also which source word each word comes from, after a tab, as
            0-0 2-1: source word, target word, counted from 0.
        prefixes: file with what each translation has to begin with, one a line.
        checkpoint: latest, best, average or a step.
        ensemble: more work directories or checkpoints, whose probabilities are
            averaged with those of the first.
        chunk_lines: lines translated together, and written together, which is what an
            interruption may lose; default, as many as take about 20 seconds, 4,096 at
            most.
        on_error: at a line that cannot be used, stop with the lines before it done, or
            skip it and leave its output empty.
        progress: show progress on standard error.
    """
    show_log(progress)
    check_alignments(alignments, decoding)
    parse_checkpoint(checkpoint)  # Before JAX is imported, which takes seconds.
    for path in (input, prefixes):
        check_input(path)
    find_output(output, input, prefixes)
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
    with flags_in_errors(FLAGS, decoding=True):
        if alignments:
            note_alignments(translator, decoding)
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
            on_error=on_error,
            progress=progress,
            **decoding,
        )
    if is_primary():
        tell_speed(taken)
        cut = taken.counts.unfinished
        tell_lines("translations cut at their greatest length", cut)


def tell_speed(taken: "FileTranslation") -> None:
    """Prints speed, and the lines that were skipped."""
    lines = f"{taken.lines:,} line{'s' * (taken.lines != 1)}"
    programs = f"{taken.compilations} program{'s' * (taken.compilations != 1)}"
    print_note(
        f"{lines} in {taken.seconds:,.1f} s: "
        f"{taken.lines_per_second:,.1f} sentences/s, {programs} compiled"
    )
    tell_lines("lines skipped, as they cannot be used", taken.counts.skipped)


def tell_lines(what: str, lines: "LineCount") -> None:
    """Prints how many lines of a kind there were, if any, and the first few."""
    if lines.number:
        print_note(f"{what}: {lines.number:,} (line {lines})")
