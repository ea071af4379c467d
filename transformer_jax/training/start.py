"""The start of a run: the settings are checked, mesh and data are made."""

import json
import time
from collections.abc import Sequence

import jax
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_dict
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.prepare import PreparedData, prepare
from transformer_jax.devices.agreement import (
    primary_first,
    require_agreement,
    same_on_all_hosts,
)
from transformer_jax.devices.joining import check_joined, is_primary
from transformer_jax.devices.mesh import check_rows, make_mesh
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, write_whole
from transformer_jax.tokenizer.tokenizer import has_tokenizer
from transformer_jax.training.resume import check_continues
from transformer_jax.training.state import abstract_state

CONFIG_FILE = "config.json"


# On a network file system, a file that one host has written appears on another later.
_VISIBLE_SECONDS = 60


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
        InputError: settings or data are refused, or the processes have different ones.
            It is raised in all processes, and the work directory holds the prepared
            data at most.
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
    mesh = make_mesh(config.mesh)
    check_rows(config.data.rows, mesh, config.training.accumulation_steps)
    abstract_state(config, mesh)  # Checks that every parameter fits the mesh.
    check_continues(config, workdir)
    with primary_first("the preparation of the data"):
        if not is_primary():
            _check_shared(workdir)
        data = prepare(
            config, workdir, train_pairs=train_pairs, validation_pairs=validation_pairs
        )
    require_agreement("texts and tokenizer", _digests(data))
    same_on_all_hosts(0.0)  # Compiles it now, not between two updates.
    return mesh, data


def _check_shared(workdir: StoredPath) -> None:
    """Waits until the files of the primary process appear here."""
    until = time.monotonic() + _VISIBLE_SECONDS
    while not has_tokenizer(workdir):
        if time.monotonic() > until:
            raise InputError(
                f"workdir={workdir} does not show here what the primary has written "
                "there: choose one that all hosts share, as gs://..."
            )
        time.sleep(1.0)


def _digests(data: PreparedData) -> dict[str, str]:
    """Returns digests of the tokenizer and the texts, by name."""

    def digest(corpus: Corpus | None) -> str:
        return (
            "none" if corpus is None else f"{corpus.fingerprint} of {corpus.num_pairs}"
        )

    return {
        "the tokenizer": data.tokenizer.digest,
        "the training text": digest(data.train),
        "the validation text": digest(data.validation),
    }


def write_config(config: ExperimentConfig, workdir: StoredPath) -> None:
    """Writes the settings into the work directory, on the primary."""
    if is_primary():
        text = json.dumps(config_to_dict(config), indent=2) + "\n"
        write_whole(workdir / CONFIG_FILE, text.encode())
