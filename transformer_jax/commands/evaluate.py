"""The command `evaluate`."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    DecodingFlags,
)
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import note_checkpoint, parse_checkpoint
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    show_log,
    translate_on_all_cores,
)
from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.text_metrics.tokenizers import SacrebleuTokenizer

if TYPE_CHECKING:
    from transformer_jax.evaluation.evaluate import EvaluationResult


def evaluate(
    workdir: tyro.conf.Positional[str],
    /,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: str = "latest",
    source: Path | None = None,
    target: Path | None = None,
    output: Path | None = None,
    examples: int = 0,
    tokenizer: SacrebleuTokenizer | None = None,
    progress: bool = True,
    decoding: DecodingFlags = AS_CONFIGURED,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Score a model: loss, perplexity, BLEU, chrF and TER, as one JSON object.

    Args:
        workdir: a trained work directory.
        split: which of the data of the run.
        checkpoint: latest, best, average or a step.
        source: sentences in place of a split, one a line; needs --target.
        target: their references.
        output: file for the translations, or -; they are written after the scores.
        examples: this many translations, evenly spaced, shown with their references.
        tokenizer: of sacreBLEU; default as in training, by the target language.
        progress: show progress on standard error.
    """
    which = parse_checkpoint(checkpoint)  # Before JAX is imported.
    show_log(progress)
    translate_on_all_cores()
    processes.start()
    from transformer_jax.data.sentence_pairs import from_files
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.evaluation.evaluate import evaluate
    from transformer_jax.file_translation.output_lines import text_line

    if (source is None) != (target is None):
        raise InputError("--source and --target go together: name both files.")
    pairs = None if source is None or target is None else from_files(source, target)
    if examples < 0:
        raise InputError(f"--examples {examples} must be at least 0.")
    # Every process computes; one writes and prints.
    writes = output is not None and is_primary()
    found = find_output(output, source, target) if writes else None
    with nullcontext() if found is None else open_output(found) as out:
        with flags_in_errors({"tokenizer=": "--tokenizer "}, decoding=True):
            note_checkpoint(workdir, which)
            result = evaluate(
                workdir,
                split=split,
                checkpoint=which,
                pairs=pairs,
                tokenizer=tokenizer,
                progress=progress,
                **decoding,
            )
        if not is_primary():
            return
        unread: OSError | None = None
        try:
            _show_examples(result, examples)
            print_json(result.scores)
            sys.stdout.flush()
        except OSError as error:  # The translations are not lost with their reader.
            unread = error
        if out is not None:
            out.writelines(f"{text_line(text)}\n" for text in result.translations)
    if unread is not None:
        raise unread


def _show_examples(result: "EvaluationResult", number: int) -> None:
    """Prints sentences, evenly spaced, with reference and translation."""
    stride = max(1, len(result.translations) // max(1, number))
    for index in range(0, min(len(result.translations), stride * number), stride):
        print_note(f"     source  {result.sources[index]}")
        print_note(f"  reference  {result.references[index]}")
        print_note(f"translation  {result.translations[index]}\n")
