"""Where a run begins: with its data, and at its last checkpoint if it has one."""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from transformer_jax import sharding
from transformer_jax.checkpoint import CHECKPOINTS, Checkpoints
from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import config_to_dict, differences
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.prepare import PreparedData, prepare
from transformer_jax.data.tokenizer import has_tokenizer
from transformer_jax.distributed import (
    check_joined,
    is_primary,
    primary_first,
    require_agreement,
    same_on_all_hosts,
)
from transformer_jax.errors import InputError
from transformer_jax.training.state import (
    TrainState,
    abstract_state,
    checkpoint_items,
    init_state,
    state_of_items,
)
from transformer_jax.workdir import StoredPath, write_whole

CONFIG_FILE = "config.json"

# How long a network file system may hide from one host what another has written.
_VISIBLE_SECONDS = 60

logger = logging.getLogger(__name__)


def begin(
    config: ExperimentConfig,
    workdir: StoredPath,
    *,
    alone: bool,
    train_pairs: Sequence[tuple[str, str]] | None,
    validation_pairs: Sequence[tuple[str, str]] | None,
) -> tuple[Mesh, PreparedData]:
    """Returns the mesh and the data of a run, the same on all its processes.

    Raises:
        InputError: settings or data do not do, or the processes do not agree; on all
            of them, and nothing but the data is in the work directory.
    """
    check_joined(alone=alone)
    require_agreement(
        "settings",
        {
            "the version of jax": jax.__version__,
            **{
                f"{section}.{name}": repr(value)
                for section, fields in config_to_dict(config).items()
                for name, value in fields.items()
            },
        },
    )
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_rows(config.data.rows, mesh, config.training.accumulation_steps)
    abstract_state(config, mesh)  # Whether its sizes can be spread over the mesh.
    check_continues(config, workdir)
    with primary_first("the preparation of the data"):
        if not is_primary():
            _check_shared(workdir)
        data = prepare(
            config, workdir, train_pairs=train_pairs, validation_pairs=validation_pairs
        )
    require_agreement("texts and tokenizer", _contents(data))
    same_on_all_hosts(0.0)  # Compiled now, not between two updates.
    return mesh, data


def _check_shared(workdir: StoredPath) -> None:
    """Checks that what the primary has written can be seen here."""
    until = time.monotonic() + _VISIBLE_SECONDS
    while not has_tokenizer(workdir):
        if time.monotonic() > until:
            raise InputError(
                f"{workdir} does not show here what the primary has written there: "
                "choose a --workdir that all hosts share, as gs://..."
            )
        time.sleep(1.0)


def _contents(data: PreparedData) -> dict[str, str]:
    """Returns what names the tokenizer and the texts."""

    def named(corpus: Corpus | None) -> str:
        return (
            "none" if corpus is None else f"{corpus.fingerprint} of {corpus.num_pairs}"
        )

    return {
        "the tokenizer": data.tokenizer.digest,
        "the training text": named(data.train),
        "the validation text": named(data.validation),
    }


def write_config(config: ExperimentConfig, workdir: StoredPath) -> None:
    """Writes the settings into the work directory, on the primary."""
    if is_primary():
        text = json.dumps(config_to_dict(config), indent=2) + "\n"
        write_whole(workdir / CONFIG_FILE, text.encode())


def check_continues(config: ExperimentConfig, workdir: StoredPath) -> None:
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
    free = ("model.scan_unroll", "model.remat", "model.attention_kernel")
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
    """Returns the state of the last checkpoint, or a new one where there is none.

    A running average that the checkpoint lacks begins with its parameters; one that is
    no longer asked for is dropped.
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
        # Not the same arrays, as an update takes the memory of both.
        copy = jax.tree.map(jnp.copy, state.params)
        return dataclasses.replace(state, averaged_params=copy)
    return state
