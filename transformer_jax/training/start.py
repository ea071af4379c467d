"""The start of a run: the settings are checked, mesh and data are made."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import jax
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_dict, config_to_store
from transformer_jax.data.prepare import PreparedData, prepare_data
from transformer_jax.data.sentence_pairs import GivenPairs
from transformer_jax.data.tokenizer_of_run import TrainedWith
from transformer_jax.devices.agreement import (
    all_together,
    primary_first,
    require_agreement,
    same_on_all_hosts,
)
from transformer_jax.devices.capacity import check_search_fits, check_training_fits
from transformer_jax.devices.defaults import check_kernel
from transformer_jax.devices.joining import check_joined, is_primary
from transformer_jax.devices.mesh import check_rows, make_mesh
from transformer_jax.errors import InputError
from transformer_jax.storage.directory_lock import lock_directory
from transformer_jax.storage.partials import remove_partials
from transformer_jax.storage.work_directory import StoredPath, write_whole
from transformer_jax.tokenizer.tokenizer import Tokenizer, has_tokenizer
from transformer_jax.training.state import abstract_state

CONFIG_FILE = "config.json"


# On a network file system, a file that one host has written appears on another later.
_VISIBLE_SECONDS = 60


def make_checked_mesh(config: ExperimentConfig, *, alone: bool) -> Mesh:
    """Returns the mesh of a run; all its processes have the same settings.

    Raises:
        InputError: the settings are refused, or the processes have different ones. It
            is raised in all processes, and nothing was written.
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
    with all_together("the check of the settings"):  # Hosts may differ in memory.
        check_fits(config, mesh)
    return mesh


def check_fits(config: ExperimentConfig, mesh: Mesh) -> None:
    """Checks that a run can be computed on a mesh.

    Raises:
        InputError: rows or parameters cannot be spread over it, its devices do not have
            what a setting needs, or memory is missing.
    """
    check_rows(config.data.rows, mesh, config.training.accumulation_steps)
    check_kernel(config.model, mesh)
    state = abstract_state(config, mesh)  # Checks that every parameter fits the mesh.
    check_training_fits(config.data, config.model, state, mesh)
    if config.training.validation_bleu_sentences != 0:
        decoding = config.decoding
        if decoding.sampling:  # Validation draws one translation of a sentence.
            decoding = decoding.replace(beam_size=1)
        check_search_fits(decoding, config.model, mesh)


@contextlib.contextmanager
def hold_lock(workdir: StoredPath) -> Iterator[Callable[[], None]]:
    """Holds the lock on a work directory, in the primary; yields its check.

    Every process must enter it.

    Raises:
        InputError: another run holds it; in all processes.
    """
    with contextlib.ExitStack() as stack:
        check: Callable[[], None] = _nothing
        with primary_first("the lock on the work directory"):
            if is_primary():
                check = stack.enter_context(lock_directory(workdir)).check
                remove_partials(workdir)
        yield check


def _nothing() -> None:
    pass


def prepare_together(
    config: ExperimentConfig,
    workdir: StoredPath,
    *,
    trained: TrainedWith | None,
    train_pairs: GivenPairs | None,
    validation_pairs: GivenPairs | None,
    tokenizer: Tokenizer | None = None,
) -> PreparedData:
    """Returns the data of a run, the same on all its processes.

    Raises:
        InputError: data are refused, or the processes have different ones. It is raised
            in all processes.
    """
    with primary_first("the preparation of the data"):
        if not is_primary():
            _check_shared(workdir)
        data = prepare_data(
            config,
            workdir,
            train_pairs=train_pairs,
            validation_pairs=validation_pairs,
            trained=trained,
            tokenizer=tokenizer,
        )
    require_agreement("texts and tokenizer", _digests(data))
    same_on_all_hosts(0.0)  # Compiles it now, not between two updates.
    return data


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
    return {
        "the tokenizer": data.tokenizer.digest,
        "the training text": data.training_text,
        "the validation text": data.validation_text or "none",
    }


def write_config(config: ExperimentConfig, workdir: StoredPath) -> None:
    """Writes the settings into the work directory, on the primary."""
    if is_primary():
        text = json.dumps(config_to_store(config), indent=2) + "\n"
        write_whole(workdir / CONFIG_FILE, text.encode())
