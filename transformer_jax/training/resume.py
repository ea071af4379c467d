"""Where a run begins: at its last checkpoint, or with new parameters."""

import logging
from pathlib import Path

from jax.sharding import Mesh

from transformer_jax.checkpoint import Checkpoints
from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import differences
from transformer_jax.errors import InputError
from transformer_jax.training.state import TrainState, abstract_state, init_state

logger = logging.getLogger(__name__)


def check_continues(
    old: ExperimentConfig, new: ExperimentConfig, workdir: Path
) -> None:
    """Checks that a run may go on with other settings, and says which have changed.

    Raises:
        InputError: the model or the tokenizer is another one.
    """
    changes = list(differences(old, new))
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
    config: ExperimentConfig, mesh: Mesh, checkpoints: Checkpoints, start: int
) -> TrainState:
    """Returns the state at step `start`, restored unless that is 0."""
    if not start:
        return init_state(config, mesh)
    abstract = abstract_state(config, mesh)
    rest = {"batches": abstract.batches, "opt_state": abstract.opt_state}
    params, training = checkpoints.restore(
        start, abstract.params, {"step": abstract.step, **rest}
    )
    logger.info("continuing from the checkpoint of step %d", start)
    return TrainState(params=params, **training)
