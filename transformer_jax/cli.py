"""The command line: the only place that parses arguments or prints.

Results a program may want are one JSON object on standard output, everything else
goes to standard error. Exit codes: 0 success, 2 what the user can mend (one line),
1 anything else. A traceback is shown with `--debug` only.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import load_config
from transformer_jax.errors import InputError
from transformer_jax.text_streams import open_lines, open_output

if TYPE_CHECKING:
    from transformer_jax.evaluation.evaluate import EvaluationResult

PROGRAM = "transformer-jax"

# Lines translated together: enough to sort by length, few enough to wait for.
_CHUNK_LINES = 4_096

Config = tyro.conf.Positional[Path]
Settings = Annotated[ExperimentConfig, tyro.conf.arg(name="")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    logging.basicConfig(format="%(message)s", level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("transformer_jax").setLevel(logging.INFO)
    try:
        command = _parsed(arguments or ["--help"])
        command()
        sys.stdout.flush()
        return 0
    except InputError as error:
        if debug:
            raise
        return _fail(str(error), 2)
    except BrokenPipeError:  # The reader of our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if debug:
            raise
        summary = " ".join(str(error).split()) or "no message"
        return _fail(f"{type(error).__name__}: {summary} (--debug shows where)", 1)


def _fail(message: str, code: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


def _parsed(arguments: Sequence[str]) -> Callable[[], None]:
    """Returns the command the arguments ask for, ready to run.

    Raises:
        InputError: tyro's explanation in one line instead of a box.
    """
    commands = {name: _deferred(run) for name, run in _commands(arguments).items()}
    explanation = io.StringIO()
    try:
        with contextlib.redirect_stderr(explanation):
            return tyro.extras.subcommand_cli_from_dict(
                commands, args=arguments, prog=PROGRAM
            )
    except SystemExit as error:
        if not error.code:
            raise  # --help has been printed.
        paragraphs = re.split("[─-]{9,}", re.sub("[╭╮╰╯│]", "", explanation.getvalue()))
        told = [" ".join(text.split()) for text in paragraphs if text.strip()]
        # The first is the title of the box.
        first = re.sub(r"^Error parsing __tyro\S+ ", "", [*told, "bad usage"][1])
        meant = re.search(r"Perhaps you meant: (\S+)", " ".join(told))
        hint = f"did you mean {meant[1]}?" if meant else f"see {PROGRAM} --help."
        raise InputError(f"{first.rstrip('.')}; {hint}") from None


def _deferred(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Returns a function of the same signature that only notes its arguments."""

    @functools.wraps(command)
    def note(*values: Any, **named: Any) -> Callable[[], None]:
        return functools.partial(command, *values, **named)

    return note


def _commands(arguments: Sequence[str]) -> dict[str, Callable[..., None]]:
    """Returns the commands; the settings in a named TOML file become defaults."""
    defaults = ExperimentConfig()
    takes_settings = arguments[:1] in (["train"], ["prepare"])
    if takes_settings and len(arguments) > 1 and not arguments[1].startswith("-"):
        defaults = load_config(arguments[1])

    def train(config: Config, /, workdir: Path, settings: Settings = defaults) -> None:
        """Train a model into a work directory, or continue training it.

        Prepares data and tokenizer if absent, trains, evaluates, checkpoints. The same
        command continues an interrupted run exactly.

        Args:
            config: TOML file with the settings; what it leaves out is the paper's base.
            workdir: directory of the run: settings, tokenizer, checkpoints, metrics.
        """
        from transformer_jax.training.loop import train

        result = train(settings, workdir)
        lines = [line for line in result.history if line["kind"] == "validation"]
        _print_json(lines[-1] if lines else {"step": int(result.state.step)})

    def prepare(
        config: Config, /, workdir: Path, settings: Settings = defaults
    ) -> None:
        """Make the data and the tokenizer of a work directory, without training.

        Args:
            config: TOML file with the settings.
            workdir: directory of the run.
        """
        from transformer_jax.data.prepare import prepare

        data = prepare(settings, workdir)
        _print_json(
            {
                "num_train_pairs": data.train.num_pairs,
                "num_empty_pairs": data.train.num_empty,
                "source_tokens": int(data.train.source_lengths.sum()),
                "target_tokens": int(data.train.target_lengths.sum()),
                "source_vocab_size": data.tokenizer.source_vocab_size,
                "target_vocab_size": data.tokenizer.target_vocab_size,
            }
        )

    return {
        "train": train,
        "prepare": prepare,
        "translate": translate,
        "evaluate": evaluate,
        "average": average,
        "info": info,
    }


def translate(
    workdir: tyro.conf.Positional[Path],
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
    workdir: tyro.conf.Positional[Path],
    /,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: str = "latest",
    source: Path | None = None,
    target: Path | None = None,
    output: Path | None = None,
    examples: int = 0,
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
    _print_json(result.scores)


def _show_examples(result: "EvaluationResult", number: int) -> None:
    """Prints sentences, evenly spaced, with reference and translation."""
    stride = max(1, len(result.translations) // max(1, number))
    for index in range(0, min(len(result.translations), stride * number), stride):
        print(f"     source  {result.sources[index]}", file=sys.stderr)
        print(f"  reference  {result.references[index]}", file=sys.stderr)
        print(f"translation  {result.translations[index]}\n", file=sys.stderr)


def average(workdir: tyro.conf.Positional[Path], /, last: int = 5) -> None:
    """Average the parameters of the last checkpoints into one more checkpoint.

    Args:
        workdir: a trained work directory.
        last: how many; the paper takes 5 for base and 20 for big.
    """
    from transformer_jax.checkpoint import average_checkpoints

    directory = average_checkpoints(workdir, last)
    _print_json({"checkpoint": "average", "directory": str(directory), "last": last})


def info(path: tyro.conf.Positional[Path], /) -> None:
    """Show settings, parameters of each block and FLOPs of a token, as JSON.

    Args:
        path: TOML file with settings, or a work directory.
    """
    config = load_config(path / "config.json" if path.is_dir() else path)
    from transformer_jax.model.size import flops_per_target_token, parameter_counts

    counts = parameter_counts(config.model)
    _print_json(
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


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
