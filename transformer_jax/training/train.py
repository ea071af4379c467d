"""Training a model, from settings to the trained translator."""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.checks import require_config, require_type
from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.experiment import DataConfig, ExperimentConfig
from transformer_jax.config.reading import differences
from transformer_jax.data.prepare import PreparedData, choose_pairs
from transformer_jax.data.sentence_pairs import GivenPairs
from transformer_jax.devices.agreement import all_together
from transformer_jax.evaluation.long_corpus_pairs import split_long_corpus_pairs
from transformer_jax.interruption import handle_signals
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.training.ending import promising_to_continue
from transformer_jax.training.loop import TrainingLoop
from transformer_jax.training.mesh_of_run import tell_mesh
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.own_tokenizer import choose_tokenizer
from transformer_jax.training.patience import check_patience
from transformer_jax.training.reporting import Reporter
from transformer_jax.training.restoring import restore_state, starting_state
from transformer_jax.training.resume import (
    Start,
    check_continues,
    find_start,
    set_aside_together,
    warn_of_changes,
)
from transformer_jax.training.start import (
    hold_lock,
    make_checked_mesh,
    prepare_together,
    write_config,
)
from transformer_jax.training.state import TrainState
from transformer_jax.training.validation import check_validation_tokenizer
from transformer_jax.translation.translator import Translator

logger = logging.getLogger(__name__)


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
    """The trained model, ready to translate: that of the last step."""
    stopped_early: str | None = None
    """Why the run has ended before `training.num_steps`, see
    `training.patience_evaluations`. None = it has not."""


def train(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    train_pairs: GivenPairs | None = None,
    validation_pairs: GivenPairs | None = None,
    progress: bool = True,
    alone: bool = False,
    from_step: int | None = None,
    on_metrics: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainResult:
    """Trains a model into a work directory, or continues the run that is there.

    An interrupted run goes on from its last checkpoint, with the same data and random
    numbers, and on the same mesh ends with the same parameters to the bit. One process
    at a time may train in a work directory.

    With `training.initial_checkpoint` a new run begins with the parameters and the
    tokenizer of another one, to fine-tune it.

    SIGINT, SIGTERM, SIGHUP and SIGUSR1 end it in good order: after the update under way
    a checkpoint is written. With `training.patience_evaluations` it ends where its
    validation results no longer improve, and stays ended until there is more patience.

    Several processes train one model together: each calls `initialize_distributed`
    first, then this function with the same arguments.

    Args:
        workdir: gets `config.json`, tokenizer, corpus, checkpoints and metrics; a
            directory that all processes share, or `gs://bucket/run`.
        train_pairs: (source, target) sentences in place of those of `config.data`; of
            `data.corpora`, a dictionary by their names.
        validation_pairs: likewise, for validation. A list is taken as it is, without
            tags.
        progress: show progress on standard error: a bar on a terminal or in a notebook,
            otherwise a line every `training.log_every_steps`.
        alone: train separately, although this is one of several processes.
        from_step: continue from the checkpoint of this step; later ones are set aside.
        on_metrics: called with each line of `metrics.jsonl`, in every process. An error
            that it raises ends the run, without a further checkpoint.

    Raises:
        InputError: settings or data are refused, another run is in the directory,
            packages are missing for the BLEU of validation, or there is no validation
            text for `training.patience_evaluations`.
        Interrupted: a signal has ended it; a KeyboardInterrupt with an `exit_code`.
        NonFiniteError: `training.max_skipped_steps` updates in a row failed, or the
            validation loss is not a number.

    Example:
        >>> result = tj.train(config, "runs/new", train_pairs=pairs, progress=False)
        >>> int(result.state.step) == config.training.num_steps
        True
        >>> translations = result.translator.translate(["A house."])

    Paper: section 5.
    """
    require_config(config, ExperimentConfig)
    require_type("from_step", from_step, int | None)
    folder = work_directory(workdir)
    with handle_signals(), promising_to_continue():
        mesh = make_checked_mesh(config, alone=alone)
        has_validation = _has_validation(config, train_pairs, validation_pairs)
        check_patience(config.training, has_validation=has_validation)
        with hold_lock(folder) as check_lock:
            start = find_start(config, folder, from_step)
            check_continues(config, start, folder)
            tokenizer = choose_tokenizer(config, start)
            if start.is_finished(config):
                return _load_finished(config, mesh, folder, start, train_pairs)
            if has_validation and not config.treebank.is_used:
                with all_together("the tokenizer of BLEU"):
                    check_validation_tokenizer(config)
            data = prepare_together(
                config,
                folder,
                trained=start.trained,
                train_pairs=train_pairs,
                validation_pairs=validation_pairs,
                tokenizer=tokenizer,
            )
            if data.validation is not None:
                # A pair that cannot be as short as the positions is told at once.
                split_long_corpus_pairs(data.validation, config, data.tokenizer)
            # Up to here an error leaves nothing but data in the work directory.
            set_aside_together(start, folder)
            warn_of_changes(config, start)
            tell_mesh(mesh, start)
            return _run(
                config, mesh, folder, start, data, progress, on_metrics, check_lock
            )


def _has_validation(
    config: ExperimentConfig,
    train_pairs: GivenPairs | None,
    validation_pairs: GivenPairs | None,
) -> bool:
    """Returns whether a run has a validation text, before that is read."""
    if train_pairs is not None or validation_pairs is not None:
        return validation_pairs is not None
    if config.treebank.is_used:
        return bool(config.treebank.validation_paths)
    data = config.data
    texts: list[DataConfig | CorpusConfig] = [data, *data.corpora]
    return any(
        text.validation_source_path is not None or text.dataset is not None
        for text in texts
    )


def _run(
    config: ExperimentConfig,
    mesh: Mesh,
    folder: StoredPath,
    start: Start,
    data: PreparedData,
    progress: bool,
    on_metrics: Callable[[Mapping[str, Any]], None] | None,
    check_lock: Callable[[], None],
) -> TrainResult:
    """Trains until the run is over."""
    # It waits for files being written at its end, after an interrupt too.
    with Checkpoints(folder, config.training) as checkpoints:
        state = starting_state(config, mesh, checkpoints, start.step, start.initial)
        write_config(config, folder)
        reporter = Reporter(
            folder,
            num_steps=config.training.num_steps,
            start_step=int(state.step),
            progress=progress,
            on_metrics=on_metrics,
            evaluation_due=start.record.evaluation_due,
        )
        with contextlib.closing(reporter):
            loop = TrainingLoop(
                config,
                mesh,
                data,
                checkpoints,
                reporter,
                folder,
                batches=int(state.batches),
                record=start.record,
                check_lock=check_lock,
            )
            state = loop.train(state)
    translator = Translator(config, state.final_params, data.tokenizer, mesh)
    return TrainResult(state, reporter.history, config, translator, loop.why_over)


def _load_finished(
    config: ExperimentConfig,
    mesh: Mesh,
    folder: StoredPath,
    start: Start,
    train_pairs: GivenPairs | None,
) -> TrainResult:
    """Returns the result of a run that was over before."""
    assert start.step is not None
    assert start.trained is not None
    why_over = start.why_over(config)
    if why_over:
        logger.warning(
            "%s has stopped early at step %d: %s; nothing is left to do, unless "
            "training.patience_evaluations is larger or none",
            folder,
            start.step,
            why_over,
        )
    else:
        logger.warning(
            "%s was trained to step %d already: nothing is left to do, unless "
            "training.num_steps asks for more",
            folder,
            start.step,
        )
    assert start.config is not None
    changes = list(differences(start.config, config))
    text = start.trained.training_text
    if train_pairs is not None and text is not None:
        given = choose_pairs(config, "train", train_pairs)
        if given is not None and given.digest() != text:
            changes.append("train_pairs are others")
    if changes:
        logger.warning("so what is new has no effect: %s", "; ".join(changes))
    with Checkpoints(folder) as checkpoints:
        state = restore_state(config, mesh, checkpoints, start.step)
    history = [line for line in read_metrics(folder) if line["step"] <= start.step]
    translator = Translator(config, state.final_params, start.trained.tokenizer, mesh)
    return TrainResult(state, history, config, translator, why_over)
