"""The command `parse`."""

import itertools
from pathlib import Path

import tyro

from transformer_jax.commands.decoding_flags import AS_CONFIGURED, DecodingFlags
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import load_translator, parse_checkpoint
from transformer_jax.commands.output import print_note
from transformer_jax.commands.startup import show_log, translate_on_all_cores
from transformer_jax.errors import InputError, SentenceError
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.storage.text_streams import check_input, open_lines

# Sentences parsed together: enough to sort them by length, few enough to wait for.
_CHUNK_LINES = 1_024


def parse(
    workdir: tyro.conf.Positional[str],
    /,
    input: Path | None = None,
    output: Path | None = None,
    checkpoint: str = "latest",
    ensemble: tuple[str, ...] = (),
    well_formed: bool = True,
    progress: bool = True,
    decoding: DecodingFlags = AS_CONFIGURED,
) -> None:
    """Parse sentences into constituency trees: one line in, one tree out.

    A line is a sentence with white space between its words, punctuation included;
    brackets in it become -LRB- and -RRB-. An empty line stays empty. Settings of
    decoding that are left out are those of the training.

    Args:
        workdir: a work directory trained on trees, or one checkpoint in it.
        input: file to read, plain or .gz; default, or -, standard input.
        output: file to write, plain or .gz; default, or -, standard output.
        checkpoint: latest, best, average or a step.
        ensemble: more work directories or checkpoints, whose probabilities are
            averaged with those of the first.
        well_formed: search among well-formed trees only; otherwise what is no tree is
            mended, and how many were is told.
        progress: show progress on standard error.
    """
    show_log(progress)
    parse_checkpoint(checkpoint)  # Before JAX is imported.
    check_input(input)
    found = find_output(output, input)
    translate_on_all_cores()
    from transformer_jax.parser.parser import Parser
    from transformer_jax.progress import Progress

    parser = Parser(load_translator(workdir, checkpoint, ensemble))
    num_lines = num_mended = 0
    with (
        open_output(found) as out,
        open_lines(input) as lines,
        Progress(None, "sentences", shown=progress) as shown,
        flags_in_errors({}, decoding=True),
    ):
        shown.say("compiling")
        while chunk := list(itertools.islice(lines, _CHUNK_LINES)):
            try:
                parsed = parser.parse_with_scores(
                    chunk,
                    well_formed=None if well_formed else False,  # As configured.
                    on_done=lambda done, before=num_lines: shown.show_done(
                        before + done
                    ),
                    **decoding,
                )
            except SentenceError as error:
                index = min(error.problems)
                name = "standard input" if input is None else input
                raise InputError(
                    f"{name}: line {num_lines + index + 1} {error.problems[index]}"
                ) from None
            out.writelines("\n" if one is None else f"{one.tree}\n" for one in parsed)
            out.flush()
            num_lines += len(chunk)
            num_mended += sum(one is not None and one.was_mended for one in parsed)
    if num_mended:
        print_note(f"mended: {num_mended:,} of {num_lines:,} trees")
