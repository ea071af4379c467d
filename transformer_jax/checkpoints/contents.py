"""The directory of one checkpoint: reading its parts, writing an average."""

import base64
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint.utils import is_checkpoint_finalized as is_finalized

from transformer_jax.checkpoints.orbax_warnings import drop_expected_warnings
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_from_dict, config_to_dict
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.tokenizer.tokenizer import Tokenizer

drop_expected_warnings()

# The item that only averages have.
_AVERAGE = "average"


def is_checkpoint(directory: StoredPath) -> bool:
    """Returns whether a directory is one checkpoint, or one average, and whole."""
    items = directory / "params", directory / "tokenizer"
    return all(item.is_dir() for item in items) and is_finalized(directory)


def averaged_steps(directory: StoredPath) -> list[int]:
    """Returns the steps a checkpoint is the average of; none if it is no average."""
    if not (directory / _AVERAGE).is_dir():
        return []
    steps: list[int] = _read_json(directory, _AVERAGE)[_AVERAGE]["steps"]
    return steps


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


def load_checkpoint(
    directory: StoredPath,
) -> tuple[Params, ExperimentConfig, Tokenizer]:
    """Returns parameters, settings and tokenizer of one checkpoint directory.

    The parameters come whole to this process's first device, whatever mesh they were
    trained on.
    """
    config, tokenizer = load_description(directory)
    return load_params(directory), config, tokenizer


def load_description(directory: StoredPath) -> tuple[ExperimentConfig, Tokenizer]:
    """Returns settings and tokenizer of one checkpoint directory.

    Raises:
        InputError: it is none.
    """
    items = _read_json(directory, "config", "tokenizer")
    models = {k: base64.b64decode(v) for k, v in items["tokenizer"].items()}
    return config_from_dict(items["config"]), Tokenizer(**models)


def _read_json(directory: StoredPath, *names: str) -> dict[str, Any]:
    args = {name: ocp.args.JsonRestore() for name in names}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            items = checkpointer.restore(directory, args=ocp.args.Composite(**args))
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise InputError(f"{directory} is not a checkpoint ({error}).") from None
    return {name: items[name] for name in names}


def load_params(directory: StoredPath) -> Params:
    """Returns the parameters of one checkpoint directory, on the first device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        stored_params(directory),
    )
    with ocp.StandardCheckpointer() as checkpointer:
        params: Params = checkpointer.restore(directory / "params", abstract)
    return params


def load_params_to_host(directory: StoredPath) -> Params:
    """Returns the parameters of one checkpoint directory as NumPy arrays."""
    to_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), stored_params(directory)
    )
    with ocp.PyTreeCheckpointer() as checkpointer:
        params: Params = checkpointer.restore(
            directory / "params", args=ocp.args.PyTreeRestore(restore_args=to_numpy)
        )
    return params


def stored_params(directory: StoredPath) -> PyTree:
    """Returns the parameters of one checkpoint directory without reading them.

    The leaves have a `shape` and a `dtype`.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(directory / "params").item_metadata
    if metadata is None:
        raise InputError(f"{directory} is not a checkpoint (it has no parameters).")
    return metadata.tree if hasattr(metadata, "tree") else metadata


def descriptions(config: ExperimentConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns Orbax's arguments to write settings and tokenizer."""
    return {
        "config": ocp.args.JsonSave(config_to_dict(config)),
        "tokenizer": ocp.args.JsonSave(
            {
                "source_model": base64.b64encode(tokenizer.source_model).decode(),
                "target_model": base64.b64encode(tokenizer.target_model).decode(),
            }
        ),
    }


def save_average(
    directory: StoredPath,
    params: Params,
    steps: Sequence[int],
    config: ExperimentConfig,
    tokenizer: Tokenizer,
) -> None:
    """Writes an average; an earlier one there is removed first.

    Args:
        steps: the steps it is the average of.
    """
    # The item that makes it an average goes first: after an interruption it is none.
    (directory / _AVERAGE).rmtree(missing_ok=True)
    items = {
        _AVERAGE: ocp.args.JsonSave({"steps": list(steps)}),
        "params": ocp.args.StandardSave(params),
        **descriptions(config, tokenizer),
    }
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(directory, args=ocp.args.Composite(**items), force=True)
