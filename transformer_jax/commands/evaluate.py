"""The command `evaluate`."""

import sys
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    EvaluationFlags,
)
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import Workdir, note_checkpoint, parse_checkpoint
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    show_log,
    translate_on_all_cores,
)
from transformer_jax.config.reading import load_config
from transformer_jax.config.text_files import Split
from transformer_jax.errors import InputError
from transformer_jax.parsing.treebank import find_tree_files
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.storage.path_names import expand_home
from transformer_jax.text_metrics.tokenizers import SacrebleuTokenizer

if TYPE_CHECKING:
    from transformer_jax.evaluation.evaluate import EvaluationResult

# Arguments of `evaluate` as its errors name them, and as the shell's user does.
_FLAGS = {
    "corpus=": "--corpus ",
    "give pairs": "give --source and --target",
    "split=": "--split ",
    "tokenizer=": "--tokenizer ",
    "or name files": "or name --trees",
    "trees=": "--trees ",
    "well_formed=False": "--no-well-formed",
    "well_formed=True": "--well-formed",
}


def evaluate(
    workdir: Workdir,
    /,
    split: Split = "test",
    checkpoint: str = "latest",
    source: Path | None = None,
    target: Path | None = None,
    corpus: str | None = None,
    trees: tuple[str, ...] = (),
    output: Path | None = None,
    examples: int = 0,
    tokenizer: SacrebleuTokenizer | None = None,
    progress: bool = True,
    decoding: EvaluationFlags = AS_CONFIGURED,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Score a model, as one JSON object.

    Of translation: loss, perplexity, BLEU, chrF and TER. Of parsing: loss, perplexity,
    and F1 and what else EVALB counts.

    Args:
        workdir: a trained work directory.
        split: which of the data of the run.
        checkpoint: latest, best, average or a step.
        source: sentences in place of a split, one a line; needs --target.
        target: their references.
        corpus: one of data.corpora by its name: its split, or --source with its tag.
        trees: of a parser: files or patterns of gold trees in place of a split.
        output: file for the translations or trees, or -; they are written after the
            scores.
        examples: this many of them, evenly spaced, shown with their references.
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

    _check_files(source, target, trees)
    pairs = None if source is None or target is None else from_files(source, target)
    if examples < 0:
        raise InputError(f"--examples {examples} must be at least 0.")
    # Every process computes; one writes and prints.
    read = (source, target, *_files_read(workdir, split, trees))
    found = find_output(output, *read) if output and is_primary() else None
    with nullcontext() if found is None else open_output(found) as out:
        with flags_in_errors(_FLAGS, decoding=True):
            note_checkpoint(workdir, which)
            result = evaluate(
                workdir,
                split=split,
                checkpoint=which,
                pairs=pairs,
                corpus=corpus,
                trees=trees or None,
                tokenizer=tokenizer,
                progress=progress,
                **decoding,
            )
        if not is_primary():
            return
        unread: OSError | None = None
        try:
            _show_examples(result, examples, "f1" in result.scores)
            print_json(result.scores)
            sys.stdout.flush()
        except OSError as error:  # The translations are not lost with their reader.
            unread = error
        if out is not None:
            out.writelines(f"{text_line(text)}\n" for text in result.translations)
    if unread is not None:
        raise unread


def _check_files(
    source: Path | None, target: Path | None, trees: tuple[str, ...]
) -> None:
    """Raises InputError unless either a pair of files, or trees, or none is named."""
    if (source is None) != (target is None):
        raise InputError("--source and --target go together: name both files.")
    if trees and source is not None:
        raise InputError("--trees and --source exclude each other: keep one.")


def _files_read(workdir: str, split: Split, trees: tuple[str, ...]) -> list[Path]:
    """Returns the files of trees that are named, or else those of the run's split."""
    if trees:
        return find_tree_files(trees)
    with suppress(InputError, OSError):  # What is wrong with a run is told later.
        config = load_config(workdir)
        if paths := getattr(config.treebank, f"{split}_paths"):
            return find_tree_files(paths)
        return [Path(expand_home(name)) for name in chain(*config.data.files(split))]
    return []


def _show_examples(result: "EvaluationResult", number: int, parsed: bool) -> None:
    """Prints sentences, evenly spaced, with reference and translation."""
    names = ("source", "reference", "translation")
    if parsed:
        names = ("sentence", "gold tree", "tree")
    texts = result.sources, result.references, result.translations
    stride = max(1, len(result.translations) // max(1, number))
    for index in range(0, min(len(result.translations), stride * number), stride):
        for name, column in zip(names, texts, strict=True):
            print_note(f"{name:>11}  {column[index]}")
        print_note("")
