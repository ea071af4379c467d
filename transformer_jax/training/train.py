"""Training a model, from settings to the trained translator."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.training.loop import TrainingLoop
from transformer_jax.training.reporting import Reporter
from transformer_jax.training.resume import starting_state
from transformer_jax.training.start import begin, write_config
from transformer_jax.training.state import TrainState
from transformer_jax.translation.position_limit import check_lengths
from transformer_jax.translation.translator import Translator


@dataclass(frozen=True)
class TrainResult:
    """The result of a run; its work directory holds all of it too.

    Example:
        >>> result = tj.train(config, "runs/one", train_pairs=pairs, progress=False)
        >>> result.history[-1]["step"] == int(result.state.step)
        True
    """

    state: TrainState
    history: list[dict[str, Any]]
    """The lines of `metrics.jsonl`, from the first step on."""
    config: ExperimentConfig
    translator: Translator
    """The trained model, ready to translate."""


def train(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    train_pairs: Sequence[tuple[str, str]] | None = None,
    validation_pairs: Sequence[tuple[str, str]] | None = None,
    progress: bool = True,
    alone: bool = False,
) -> TrainResult:
    """Trains a model into a work directory, or continues the run that is there.

    An interrupted run goes on from its last checkpoint, with the same data and random
    numbers, and ends with the same parameters to the bit.

    Several processes train one model together: each calls `initialize_distributed`
    first, then this function with the same arguments.

    Args:
        workdir: gets `config.json`, tokenizer, corpus, checkpoints and metrics; a
            directory that all processes share, or `gs://bucket/run`.
        train_pairs: (source, target) sentences in place of those of `config.data`.
        validation_pairs: likewise, for validation.
        progress: show progress on standard error: a bar on a terminal or in a notebook,
            otherwise a line every `training.log_every_steps`.
        alone: train separately, although this is one of several processes.

    Raises:
        InputError: settings or data are refused; nothing was trained.
        NonFiniteError: `training.max_skipped_steps` updates in a row failed.

    Example:
        >>> result = tj.train(config, "runs/new", train_pairs=pairs, progress=False)
        >>> int(result.state.step) == config.training.num_steps
        True
        >>> translations = result.translator.translate(["A house."])

    Paper: section 5.
    """
    if not isinstance(config, ExperimentConfig):
        raise InputError(
            f"config={config!r:.80} must be an ExperimentConfig: give "
            "load_config(...) of a file."
        )
    folder = work_directory(workdir)
    mesh, data = begin(
        config,
        folder,
        alone=alone,
        train_pairs=train_pairs,
        validation_pairs=validation_pairs,
    )
    if data.validation is not None:
        check_lengths(data.validation, config.model)
    # Up to here an error leaves nothing but data in the work directory.
    checkpoints = Checkpoints(folder, config.training)
    try:
        write_config(config, folder)
        state = starting_state(config, mesh, checkpoints)
        reporter = Reporter(
            folder,
            num_steps=config.training.num_steps,
            start_step=int(state.step),
            progress=progress,
        )
        try:
            run = TrainingLoop(config, mesh, data, checkpoints, reporter)
            state = run.train(state)
        finally:
            reporter.close()
    finally:
        checkpoints.close()  # Waits for files being written, after an interrupt too.
    translator = Translator(config, state.final_params, data.tokenizer, mesh)
    return TrainResult(state, reporter.history, config, translator)
