"""Commands that take a work directory: evaluate, average, info."""

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    DecodingFlags,
    given,
)
from transformer_jax.commands.models import chosen
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.startup import (
    Joined,
    Processes,
    translate_on_all_cores,
)
from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import load_config
from transformer_jax.errors import InputError
from transformer_jax.text_streams import open_output
from transformer_jax.workdir import StoredPath, work_directory

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
        output: file for the translations.
        examples: this many translations, evenly spaced, shown with their references.
    """
    translate_on_all_cores()
    processes.start()
    from transformer_jax.data.source import from_files
    from transformer_jax.evaluation.evaluate import evaluate

    if (source is None) != (target is None):
        raise InputError("--source and --target go together: name both files.")
    pairs = None if source is None or target is None else from_files(source, target)
    which, settings = chosen(checkpoint), given(decoding)
    result = evaluate(workdir, split=split, checkpoint=which, pairs=pairs, **settings)
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


def average(
    workdir: tyro.conf.Positional[str],
    /,
    last: int | None = None,
    minutes: float | None = None,
    steps: tuple[int, ...] = (),
    output: str | None = None,
) -> None:
    """Average the parameters of several checkpoints into one more checkpoint.

    Args:
        workdir: a trained work directory.
        last: how many, counted back from the newest; the default is 5, which the paper
            takes for base; it takes 20 for big.
        minutes: only checkpoints written at least so long before the next one taken;
            10 in the paper. By default every one.
        steps: those of these steps, in place of the last ones.
        output: directory for the average, to use in place of a work directory; by
            default in this one, for --checkpoint average.
    """
    from transformer_jax.averaging import average_checkpoints
    from transformer_jax.checkpoint_contents import averaged_steps

    directory = average_checkpoints(
        workdir, last, minutes=minutes, steps=steps, output=output
    )
    print_json(
        {
            "checkpoint": "average" if output is None else None,
            "directory": str(directory),
            "steps": averaged_steps(directory),
        }
    )


def info(path: tyro.conf.Positional[str], /) -> None:
    """Show settings, parameters of each block and FLOPs of a token, as JSON.

    Of a work directory also its checkpoints, and of averages the steps they are of.

    Args:
        path: TOML file with settings, a work directory, or one checkpoint.
    """
    stored: dict[str, Any] = {}
    if path.endswith((".toml", ".json")):
        config = load_config(path)
    else:
        config, stored = _stored(work_directory(path))
    from transformer_jax.model.size import flops_per_target_token, parameter_counts

    counts = parameter_counts(config.model)
    print_json(
        {
            "num_parameters": sum(counts.values()),
            "parameters": counts,
            "flops_per_target_token": flops_per_target_token(config.model),
            **stored,
            "config": dataclasses.asdict(config),
        }
    )


def _stored(folder: StoredPath) -> tuple[ExperimentConfig, dict[str, Any]]:
    """Returns the settings in a directory, and what there is beside them."""
    from transformer_jax import checkpoint
    from transformer_jax.checkpoint_contents import is_checkpoint, load_description

    if is_checkpoint(folder):
        steps = checkpoint.averaged_steps(folder)
        return load_description(folder)[0], {"averaged_steps": steps}
    config, steps = load_config(folder / "config.json"), []
    if (folder / checkpoint.CHECKPOINTS).is_dir():
        with contextlib.closing(checkpoint.Checkpoints(folder)) as checkpoints:
            steps = checkpoints.steps
    averages = {
        directory.name: checkpoint.averaged_steps(directory)
        for directory in checkpoint.averages(folder)
    }
    return config, {"checkpoints": steps, "averages": averages}
