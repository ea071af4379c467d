"""The command `parse`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from transformer_jax.commands.decoding_flags import AS_CONFIGURED, ParsingFlags
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import Workdir, load_translator, parse_checkpoint
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    show_log,
    translate_on_all_cores,
)
from transformer_jax.commands.translate import FLAGS, tell_lines, tell_speed
from transformer_jax.config.decoding_keywords import ParsingSettings
from transformer_jax.storage.outputs import find_output
from transformer_jax.storage.text_streams import check_input


def parse(
    workdir: Workdir,
    /,
    input: Path | None = None,
    output: Path | None = None,
    resume: Annotated[
        tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(name="continue")
    ] = False,
    n_best: int = 1,
    format: Literal["text", "jsonl"] = "text",
    checkpoint: str = "latest",
    ensemble: tuple[str, ...] = (),
    chunk_lines: int | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    progress: bool = True,
    decoding: ParsingFlags = AS_CONFIGURED,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Parse sentences into constituency trees: one line in, one tree out.

    A line is a sentence with white space between its words, punctuation included, in
    the words of the treebank (do n't, -LRB-); brackets become -LRB- and -RRB-. An empty
    line stays empty. The output grows in whole chunks as OUTPUT.partial, which an
    interruption leaves; the same command with --continue goes on with it. Settings that
    are left out are those of the training.

    Args:
        workdir: a work directory trained on trees, or one checkpoint in it.
        input: file to read, plain or .gz; default, or -, standard input.
        output: file to write, plain or .gz; default, or -, standard output.
        resume: go on with what an interrupted job has left, if it has left anything;
            an output that such a job has completed is left as it is.
        n_best: trees of each line, best first.
        format: text, or one JSON object a line with scores and whether the tree was
            mended.
        checkpoint: latest, best, average or a step.
        ensemble: more work directories or checkpoints, whose probabilities are
            averaged with those of the first.
        chunk_lines: lines parsed together, and written together, which is what an
            interruption may lose; default, as many as take about 20 seconds.
        on_error: at a line that cannot be used, stop with the lines before it done, or
            skip it and leave its output empty.
        progress: show progress on standard error.
    """
    show_log(progress)
    parse_checkpoint(checkpoint)  # Before JAX is imported.
    check_input(input)
    find_output(output, input)
    translate_on_all_cores()
    processes.start()
    import jax

    from transformer_jax.config.experiment import MeshConfig
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.devices.mesh import make_mesh
    from transformer_jax.file_translation.translate import translate_file
    from transformer_jax.parser.parser import Parser
    from transformer_jax.parser.tree_lines import TreeLines

    # Each process parses lines of its own.
    mesh = make_mesh(MeshConfig(), jax.local_devices())
    parser = Parser(load_translator(workdir, checkpoint, ensemble, mesh))
    settings: ParsingSettings = {**decoding}
    well_formed = settings.pop("well_formed", None)
    with flags_in_errors(
        {**FLAGS, "well_formed=False": "--no-well-formed"}, decoding=True
    ):
        taken = translate_file(
            TreeLines(parser, well_formed),
            input,
            output,
            n_best=n_best,
            format=format,
            resume=resume,
            chunk_lines=chunk_lines,
            on_error=on_error,
            progress=progress,
            **settings,
        )
    if is_primary():
        tell_speed(taken)
        tell_lines("trees that were mended", taken.counts.unfinished)
