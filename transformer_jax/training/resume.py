"""Continuing a run: which settings may change, and the state to go on from."""

import contextlib
import dataclasses
import logging

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import CHECKPOINTS, Checkpoints
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import differences
from transformer_jax.devices.agreement import require_agreement
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.training.state import (
    TrainState,
    abstract_state,
    checkpoint_items,
    init_state,
    state_of_items,
)

logger = logging.getLogger(__name__)


def check_continues(config: ExperimentConfig, workdir: StoredPath) -> None:
    """Checks that a run with these settings may continue the one in a work directory.

    Logs each setting that has changed since its last checkpoint.

    Raises:
        InputError: the settings of model or tokenizer differ.
    """
    if not (workdir / CHECKPOINTS).is_dir():
        return
    with contextlib.closing(Checkpoints(workdir)) as checkpoints:
        if not checkpoints.steps:
            return
        before = checkpoints.config(checkpoints.steps[-1])
    changes = list(differences(before, config))
    free = ("model.scan_unroll", "model.remat", "model.attention_kernel")
    fixed = [
        change
        for change in changes
        if change.startswith(("model.", "tokenizer.")) and not change.startswith(free)
    ]
    if fixed:
        raise InputError(
            f"workdir={workdir} holds a run with other settings ({'; '.join(fixed)}): "
            "keep them, or choose another directory."
        )
    for change in changes:
        logger.warning("continuing with a changed setting, %s", change)


def starting_state(
    config: ExperimentConfig, mesh: Mesh, checkpoints: Checkpoints
) -> TrainState:
    """Returns the state of the last checkpoint, or a new one where there is none.

    If the settings ask for a running average that the checkpoint lacks, it begins with
    the parameters; an average in the checkpoint that they do not ask for is dropped.
    """
    steps = checkpoints.steps
    require_agreement("work directory", {"its checkpoints": str(steps)})
    if not steps:
        return init_state(config, mesh)
    start = steps[-1]
    decay = checkpoints.config(start).training.ema_decay
    training = dataclasses.replace(config.training, ema_decay=decay)
    abstract = abstract_state(config.replace(training=training), mesh)
    items = checkpoints.restore(start, *checkpoint_items(abstract))
    logger.info("continuing from the checkpoint of step %d", start)
    state = state_of_items(*items)
    if config.training.ema_decay is None:
        return dataclasses.replace(state, averaged_params=None)
    if state.averaged_params is None:
        # A copy, because an update donates the memory of both.
        copy = jax.tree.map(jnp.copy, state.params)
        return dataclasses.replace(state, averaged_params=copy)
    return state
