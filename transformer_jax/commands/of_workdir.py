"""Commands that take a work directory: translate, evaluate, average, info."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.startup import Joined, Processes, keep_compiled_programs
from transformer_jax.config_io import load_config
from transformer_jax.errors import InputError
from transformer_jax.text_streams import open_lines, open_output

if TYPE_CHECKING:
    from transformer_jax.evaluation.evaluate import EvaluationResult

# Lines translated together: enough to sort by length, few enough to wait for.
_CHUNK_LINES = 4_096


def translate(
    workdir: tyro.conf.Positional[str],
    /,
    input: Path | None = None,
    output: Path | None = None,
    checkpoint: str = "latest",
    beam_size: int | None = None,
    n_best: int = 1,
    format: Literal["text", "jsonl"] = "text",
) -> None:
    """Translate lines of text: one line in, one line out.

    Args:
        workdir: a trained work directory, or one checkpoint in it.
        input: file to read, one sentence a line; default standard input.
        output: file to write; default standard output.
        checkpoint: latest, best, average or a step.
        beam_size: hypotheses kept in the search; default as trained, 1 is greedy.
        n_best: translations of each line, best first.
        format: text, or one JSON object a line with scores.
    """
    keep_compiled_programs()
    from transformer_jax.translation import Translator

    translator = Translator.from_checkpoint(workdir, _which(checkpoint))
    decoding = {} if beam_size is None else {"beam_size": beam_size}
    with open_lines(input) as lines, open_output(output) as out:
        number = 0
        while chunk := list(itertools.islice(lines, _CHUNK_LINES)):
            for source, found in zip(
                chunk, translator.n_best(chunk, n_best, **decoding), strict=True
            ):
                number += 1
                for rank, hypothesis in enumerate(found, start=1):
                    record = {"line": number, "rank": rank, "source": source}
                    record |= dataclasses.asdict(hypothesis)
                    out.write(_formatted(record, format, n_best) + "\n")
            out.flush()


def _formatted(record: dict[str, Any], format: str, n_best: int) -> str:
    if format == "jsonl":
        return json.dumps(record, ensure_ascii=False)
    if n_best == 1:
        return record["text"]
    return f"{record['line']}\t{record['score']:.4f}\t{record['text']}"


def evaluate(
    workdir: tyro.conf.Positional[str],
    /,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: str = "latest",
    source: Path | None = None,
    target: Path | None = None,
    output: Path | None = None,
    examples: int = 0,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Score a model: loss, perplexity, BLEU, chrF, as one JSON object.

    Args:
        workdir: a trained work directory.
        split: which of the data of the run.
        checkpoint: latest, best, average or a step.
        source: sentences in place of a split, one a line; needs --target.
        target: their references.
        output: file for the translations.
        examples: this many translations, evenly spaced, shown with their references.
    """
    processes.start()
    from transformer_jax.data.source import from_files
    from transformer_jax.evaluation.evaluate import evaluate

    if (source is None) != (target is None):
        raise InputError("--source and --target go together: name both files.")
    pairs = None if source is None or target is None else from_files(source, target)
    result = evaluate(workdir, split=split, checkpoint=_which(checkpoint), pairs=pairs)
    if output is not None:
        with open_output(output) as out:
            out.writelines(f"{line}\n" for line in result.translations)
    _show_examples(result, examples)
    print_json(result.scores)


def _show_examples(result: "EvaluationResult", number: int) -> None:
    """Prints sentences, evenly spaced, with reference and translation."""
    stride = max(1, len(result.translations) // max(1, number))
    for index in range(0, min(len(result.translations), stride * number), stride):
        print_note(f"     source  {result.sources[index]}")
        print_note(f"  reference  {result.references[index]}")
        print_note(f"translation  {result.translations[index]}\n")


def average(workdir: tyro.conf.Positional[str], /, last: int = 5) -> None:
    """Average the parameters of the last checkpoints into one more checkpoint.

    Args:
        workdir: a trained work directory.
        last: how many; the paper takes 5 for base and 20 for big.
    """
    from transformer_jax.checkpoint import average_checkpoints

    directory = average_checkpoints(workdir, last)
    print_json({"checkpoint": "average", "directory": str(directory), "last": last})


def info(path: tyro.conf.Positional[str], /) -> None:
    """Show settings, parameters of each block and FLOPs of a token, as JSON.

    Args:
        path: TOML file with settings, or a work directory.
    """
    is_file = path.endswith((".toml", ".json"))
    config = load_config(path if is_file else f"{path}/config.json")
    from transformer_jax.model.size import flops_per_target_token, parameter_counts

    counts = parameter_counts(config.model)
    print_json(
        {
            "num_parameters": sum(counts.values()),
            "parameters": counts,
            "flops_per_target_token": flops_per_target_token(config.model),
            "config": dataclasses.asdict(config),
        }
    )


def _which(checkpoint: str) -> Any:
    if checkpoint in ("latest", "best", "average"):
        return checkpoint
    if checkpoint.isdecimal():
        return int(checkpoint)
    raise InputError(
        f"--checkpoint {checkpoint} must be latest, best, average or a step."
    )
