"""The directory of one checkpoint: reading its parts."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint.utils import is_checkpoint_finalized as is_finalized

from transformer_jax.checkpoints.checksums import verify_checkpoint
from transformer_jax.checkpoints.errors import (
    DamagedCheckpoint,
    IncompleteCheckpoint,
    first_line,
)
from transformer_jax.checkpoints.orbax_warnings import drop_expected_warnings
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_store, stored_config
from transformer_jax.devices.kept_shapes import kept_shapes
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.model.size import find_misfit
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.tokenizer.tokenizer import Tokenizer

drop_expected_warnings()

# The item that only averages have, and the folder of a work directory's averages.
AVERAGE = "average"


def is_checkpoint(directory: StoredPath) -> bool:
    """Returns whether a directory is one checkpoint, or one average, and whole."""
    items = directory / "params", directory / "tokenizer"
    return all(item.is_dir() for item in items) and is_finalized(directory)


def averaged_steps(directory: StoredPath) -> list[int]:
    """Returns the steps a checkpoint is the average of; none if it is no average."""
    if not (directory / AVERAGE).is_dir():
        return []
    steps = read_json(directory, AVERAGE)[AVERAGE].get("steps")
    if not steps or not isinstance(steps, list):
        raise DamagedCheckpoint(f"{directory / AVERAGE} does not list its steps.")
    if not all(isinstance(step, int) for step in steps):
        raise DamagedCheckpoint(f"{directory / AVERAGE} has steps that are no number.")
    return steps


def check_times(directory: StoredPath) -> None:
    """Checks the file in which Orbax keeps the times of a checkpoint, if there is one.

    Raises:
        DamagedCheckpoint: it cannot be read.
    """
    path = directory / "_CHECKPOINT_METADATA"
    if not path.exists():
        return
    try:
        values = parse_json(path.read_text())
        times = [values.get(f"{name}_timestamp_nsecs") for name in ("init", "commit")]
        if not all(isinstance(value, int | None) for value in times):
            raise TypeError("a time that is no number")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{path} is damaged ({first_line(error)}).") from None


def time_written(directory: StoredPath) -> float:
    """Returns the time at which the checkpoint was started, in seconds since 1970.

    The checkpoint holds this time itself, so that a copy has the same.
    """
    try:
        stored = ocp.metadata.get_step_metadata(directory)
        nanoseconds: int | None = stored.init_timestamp_nsecs
    except ValueError:
        nanoseconds = None
    if nanoseconds is None:
        raise InputError(f"{directory} does not say when it was written.")
    return nanoseconds / 1e9


def load_model(
    directory: StoredPath,
) -> tuple[Params, ExperimentConfig, Tokenizer]:
    """Returns parameters, settings and tokenizer of one checkpoint directory.

    The parameters come whole to this process's first device, whatever mesh they were
    trained on.

    Raises:
        InputError: it is none, or damaged.
    """
    config, tokenizer = load_description(directory)
    check_fits(config, directory)
    return load_params(directory), config, tokenizer


def load_description(directory: StoredPath) -> tuple[ExperimentConfig, Tokenizer]:
    """Returns settings and tokenizer of one checkpoint directory.

    Raises:
        InputError: it is none, or damaged.
    """
    items = read_json(directory, "config", "tokenizer")
    where = str(directory / "config")
    try:
        models = {
            name: base64.b64decode(items["tokenizer"][name])
            for name in ("source_model", "target_model")
        }
        return stored_config(items["config"], where), Tokenizer(**models)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise DamagedCheckpoint(
            f"{directory / 'tokenizer'} is damaged ({first_line(error)})."
        ) from None


def load_config_of(directory: StoredPath) -> ExperimentConfig:
    """Returns the settings of one checkpoint directory.

    Raises:
        InputError: it is none, or damaged.
    """
    return stored_config(
        read_json(directory, "config")["config"], str(directory / "config")
    )


def read_json(directory: StoredPath, *names: str) -> dict[str, Any]:
    """Returns items of a checkpoint that are JSON.

    Raises:
        InputError: the directory is no checkpoint, or damaged.
    """
    for name in names:
        if not (directory / name).is_dir():
            raise IncompleteCheckpoint(
                f"{directory} is not a checkpoint (it has no {name})."
            )
    verify_checkpoint(directory, names)
    items = {}
    for name in names:
        # As Orbax writes it. Its own reader would wait for other processes.
        path = directory / name / "metadata"
        try:
            items[name] = parse_json(path.read_text())
            if not isinstance(items[name], dict):
                raise ValueError("not a table of values")
        except (OSError, ValueError) as error:
            raise DamagedCheckpoint(
                f"{path} cannot be read ({first_line(error)})."
            ) from None
    return items


def check_fits(config: ExperimentConfig, directory: StoredPath) -> None:
    """Checks that the stored parameters are those of a model with the settings.

    Raises:
        DamagedCheckpoint: they are not.
    """
    with _reading_params(directory):
        stored = stored_params(directory)
    try:
        misfit = find_misfit(stored, kept_shapes(config.model))
    except Exception as error:  # Of any type: sizes that no model can have.
        raise DamagedCheckpoint(
            f"{directory / 'config'} describes no model ({first_line(error)})."
        ) from None
    if misfit is not None:
        raise DamagedCheckpoint(f"{directory}: {misfit}.")


def load_params(directory: StoredPath, placed_as: Params | None = None) -> Params:
    """Returns the parameters of one checkpoint directory.

    Args:
        placed_as: shapes, dtypes and shardings to load them with. None = whole on the
            first device.

    Raises:
        InputError: it has none, or they are damaged.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with _reading_params(directory):
        abstract = placed_as or jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
            stored_params(directory),
        )
        with ocp.StandardCheckpointer() as checkpointer:
            params: Params = checkpointer.restore(directory / "params", abstract)
    return params


def load_params_to_host(directory: StoredPath) -> Params:
    """Returns the parameters of one checkpoint directory as NumPy arrays.

    Raises:
        InputError: it has none, or they are damaged.
    """
    with _reading_params(directory):
        to_numpy = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), stored_params(directory)
        )
        with ocp.PyTreeCheckpointer() as checkpointer:
            params: Params = checkpointer.restore(
                directory / "params", args=ocp.args.PyTreeRestore(restore_args=to_numpy)
            )
    return params


@contextlib.contextmanager
def _reading_params(directory: StoredPath) -> Iterator[None]:
    """Compares the checksums first; turns an error of Orbax into one of ours."""
    if not (directory / "params").is_dir():
        raise IncompleteCheckpoint(
            f"{directory} is not a checkpoint (it has no parameters)."
        )
    verify_checkpoint(directory, ["params"])
    try:
        yield
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise DamagedCheckpoint(
            f"{directory / 'params'} cannot be read ({first_line(error)})."
        ) from error


def stored_params(directory: StoredPath) -> PyTree:
    """Returns the parameters of one checkpoint directory without reading them.

    The leaves have a `shape` and a `dtype`.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(directory / "params").item_metadata
    if metadata is None:
        raise IncompleteCheckpoint(
            f"{directory} is not a checkpoint (it has no parameters)."
        )
    return metadata.tree if hasattr(metadata, "tree") else metadata


def descriptions(config: ExperimentConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns Orbax's arguments to write settings and tokenizer."""
    return {
        "config": ocp.args.JsonSave(config_to_store(config)),
        "tokenizer": ocp.args.JsonSave(
            {
                "source_model": base64.b64encode(tokenizer.source_model).decode(),
                "target_model": base64.b64encode(tokenizer.target_model).decode(),
            }
        ),
    }
