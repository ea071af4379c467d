"""The state that a run begins or goes on with."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from transformer_jax.checkpoints.contents import load_params
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.devices.agreement import require_agreement
from transformer_jax.errors import InputError
from transformer_jax.training.initial_checkpoint import InitialCheckpoint
from transformer_jax.training.state import (
    TrainState,
    abstract_state,
    checkpoint_items,
    init_state,
    state_of_items,
)

logger = logging.getLogger(__name__)


def starting_state(
    config: ExperimentConfig,
    mesh: Mesh,
    checkpoints: Checkpoints,
    step: int | None,
    initial: InitialCheckpoint | None = None,
) -> TrainState:
    """Returns the state of the checkpoint of a step, or a new one for None.

    Args:
        initial: the checkpoint whose parameters a new one has. None = random ones.
    """
    steps = str(checkpoints.steps)
    require_agreement("work directory", {"its checkpoints": steps})
    if step is None and initial is not None:
        params = load_params(initial.directory, abstract_state(config, mesh).params)
        logger.info("beginning with the parameters of %s", initial.directory)
        return init_state(config, mesh, params=params)
    if step is None:
        return init_state(config, mesh)
    state = restore_state(config, mesh, checkpoints, step)
    logger.info("continuing from the checkpoint of step %d", step)
    return state


def restore_state(
    config: ExperimentConfig, mesh: Mesh, checkpoints: Checkpoints, step: int
) -> TrainState:
    """Returns the state of a checkpoint, with the parts that the settings ask for.

    A running average that it lacks begins with the parameters, a mean of gradient norms
    at 0; those in the checkpoint that the settings do not ask for are dropped. Whether
    gradients are clipped may change too.

    Raises:
        InputError: it is the checkpoint of another step.
    """
    before = checkpoints.config(step)
    stored = config.replace(
        training=dataclasses.replace(
            config.training,
            ema_decay=before.training.ema_decay,
            max_gradient_ratio=before.training.max_gradient_ratio,
        ),
        optimizer=dataclasses.replace(
            config.optimizer, max_gradient_norm=before.optimizer.max_gradient_norm
        ),
    )
    items = checkpoint_items(abstract_state(stored, mesh))
    state = state_of_items(*checkpoints.restore(step, *items))
    if int(state.step) != step:
        raise InputError(
            f"{checkpoints.directory(step)} is the checkpoint of step "
            f"{int(state.step)}, under another name: give it that name, or remove it."
        )
    wanted = abstract_state(config, mesh)
    structure = jax.tree.structure(wanted.opt_state)
    changes = {
        "opt_state": jax.tree.unflatten(structure, jax.tree.leaves(state.opt_state))
    }
    if wanted.averaged_params is None:
        changes["averaged_params"] = None
    elif state.averaged_params is None:
        # A copy, because an update donates the memory of both.
        changes["averaged_params"] = jax.tree.map(jnp.copy, state.params)
    norm = wanted.mean_gradient_norm
    if norm is None:
        changes["mean_gradient_norm"] = None
    elif state.mean_gradient_norm is None:
        zero = jnp.zeros((), norm.dtype, device=norm.sharding)
        changes["mean_gradient_norm"] = zero
    return dataclasses.replace(state, **changes)
