"""Where a run begins: at its last checkpoint, or with new parameters."""

import contextlib
import logging
from pathlib import Path

from jax.sharding import Mesh

from transformer_jax.checkpoint import CHECKPOINTS, Checkpoints
from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import differences
from transformer_jax.errors import InputError
from transformer_jax.training.state import TrainState, abstract_state, init_state

logger = logging.getLogger(__name__)


def check_continues(config: ExperimentConfig, workdir: Path) -> None:
    """Checks that these settings may go on with the run in a work directory, if any.

    Says which settings have changed since its last checkpoint.

    Raises:
        InputError: the model or the tokenizer is another one.
    """
    if not (workdir / CHECKPOINTS).is_dir():
        return
    with contextlib.closing(Checkpoints(workdir)) as checkpoints:
        if not checkpoints.steps:
            return
        before = checkpoints.config(checkpoints.steps[-1])
    changes = list(differences(before, config))
    free = ("model.scan_unroll", "model.remat")
    fixed = [
        change
        for change in changes
        if change.startswith(("model.", "tokenizer.")) and not change.startswith(free)
    ]
    if fixed:
        raise InputError(
            f"{workdir} holds a run with other settings ({'; '.join(fixed)}): "
            "keep them, or choose another --workdir."
        )
    for change in changes:
        logger.warning("continuing with a changed setting, %s", change)


def starting_state(
    config: ExperimentConfig, mesh: Mesh, checkpoints: Checkpoints
) -> TrainState:
    """Returns the state of the last checkpoint, or a new one where there is none."""
    if not checkpoints.steps:
        return init_state(config, mesh)
    start = checkpoints.steps[-1]
    abstract = abstract_state(config, mesh)
    rest = {"batches": abstract.batches, "opt_state": abstract.opt_state}
    params, training = checkpoints.restore(
        start, abstract.params, {"step": abstract.step, **rest}
    )
    logger.info("continuing from the checkpoint of step %d", start)
    return TrainState(params=params, **training)
