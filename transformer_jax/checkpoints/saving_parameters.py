"""Writing parameters without a run as a checkpoint: an average, or anyone's own."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from transformer_jax.checkpoints.contents import AVERAGE, descriptions, is_checkpoint
from transformer_jax.checkpoints.errors import SaveError, first_line
from transformer_jax.checkpoints.options import parameters_handlers
from transformer_jax.checkpoints.origin import ORIGIN
from transformer_jax.checkpoints.reader import CHECKPOINTS, StoredCheckpoints
from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.devices.kept_shapes import kept_shapes
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.model.size import find_misfit
from transformer_jax.storage.inside_runs import part_of_run
from transformer_jax.storage.work_directory import (
    PathLike,
    StoredPath,
    is_remote,
    work_directory,
)
from transformer_jax.tokenizer.checks import check_vocabulary
from transformer_jax.tokenizer.tokenizer import Tokenizer


def save_parameters(
    directory: PathLike, config: ExperimentConfig, params: Params, tokenizer: Tokenizer
) -> StoredPath:
    """Writes a model as one checkpoint; returns its directory.

    `Translator.from_checkpoint`, `evaluate` and every command read the directory. As
    `WORKDIR/checkpoints/STEP` it is also one of a work directory's checkpoints, which
    `average_checkpoints` takes. It has no state of an optimizer: `train` does not
    continue from it. Parameters that are there already are replaced when the new ones
    are whole. In a run of several processes all must call it.

    Args:
        config: the settings of the model and of its search; kept with it.
        params: as `TrainState.params`; stored in float32.
        tokenizer: the one whose token ids the model knows.

    Raises:
        InputError: the parameters or the tokenizer do not fit the settings, a parameter
            is not finite, or the directory holds something else, or is among the
            checkpoints of a run that `train` goes on with.
        SaveError: it cannot be written.

    Example:
        >>> own = tj.Translator.from_checkpoint(workdir)
        >>> saved = tj.save_parameters("own", own.config, own.params, own.tokenizer)
        >>> again = tj.Translator.from_checkpoint("own")
        >>> again.translate(["A house."]) == own.translate(["A house."])
        True
    """
    require_config(config, ExperimentConfig)
    if not isinstance(tokenizer, Tokenizer):
        raise InputError(f"tokenizer={tokenizer!r:.60} must be a Tokenizer.")
    check_vocabulary(tokenizer, config.model)
    params = _check(config, params)
    folder = work_directory(directory)
    if folder.exists():
        is_empty = folder.is_dir() and not any(folder.iterdir())
        is_alike = is_checkpoint(folder) and not (folder / "training").is_dir()
        if not (is_empty or is_alike):
            raise InputError(
                f"directory={folder} has other contents than parameters: name another."
            )
    _check_no_part_of_run(folder)
    if folder.exists() and not is_remote(folder) and not any(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # Another process has.
            folder.rmdir()
    write_parameters(folder, config, params, tokenizer)
    return folder


def _check_no_part_of_run(folder: StoredPath) -> None:
    """Checks that a run that was trained does not get one more checkpoint.

    Raises:
        InputError: it would: it could not go on from that.
    """
    part = part_of_run(folder)
    if part is None:
        return
    if part.name == CHECKPOINTS and folder.parent.name == CHECKPOINTS:
        stored = StoredCheckpoints(part.parent)
        if all(map(stored.is_without_run, stored.steps)):
            return
    raise InputError(
        f"directory={folder} is inside {part}, of a run that could not go on from it: "
        "name a directory outside."
    )


def _check(config: ExperimentConfig, params: Params) -> Params:
    """Returns the parameters in float32.

    Raises:
        InputError: they are not those of the model, or not numbers.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        kind = getattr(leaf, "dtype", None)
        if kind is None or not jnp.issubdtype(kind, jnp.floating):
            raise InputError(
                f"params: {name} is {kind or type(leaf).__name__}; expected an array "
                "of real numbers."
            )
    misfit = find_misfit(params, kept_shapes(config.model))
    if misfit is not None:
        raise InputError(f"params: {misfit}: give the parameters of this model.")
    with np.errstate(over="ignore"):  # It is told below.
        converted: Params = jax.tree.map(lambda x: x.astype(jnp.float32), params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(converted):
        if not bool(jnp.isfinite(leaf).all()):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise InputError(f"params: {name} has numbers that are not finite.")
    return converted


def write_parameters(
    directory: StoredPath,
    config: ExperimentConfig,
    params: Params,
    tokenizer: Tokenizer,
    *,
    averaged_steps: Sequence[int] = (),
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Writes parameters; earlier ones there stay until these are whole.

    In an object store, where renaming is copying, and where several processes write,
    the earlier ones are removed first.

    Args:
        averaged_steps: the steps they are the average of.
        origin: of an average, the checkpoint that its run began with, if with one.

    Raises:
        SaveError: they cannot be written.
    """
    items = {
        "params": ocp.args.StandardSave(params),
        **descriptions(config, tokenizer),
    }
    if averaged_steps:
        origins = {} if origin is None else {ORIGIN: dict(origin)}
        items[AVERAGE] = ocp.args.JsonSave({"steps": list(averaged_steps), **origins})
    new, old = (directory.parent / f"{directory.name}.{end}" for end in ("new", "old"))
    if is_remote(directory) or jax.process_count() > 1:
        new = directory
    handler = ocp.CompositeCheckpointHandler(**parameters_handlers())
    try:
        with ocp.Checkpointer(handler) as checkpointer:
            checkpointer.save(new, args=ocp.args.Composite(**items), force=True)
    except Exception as error:
        _remove(new)
        raise SaveError(
            f"{directory} cannot be written ({first_line(error)})."
        ) from error
    if new != directory:
        _remove(old)
        if directory.exists():
            directory.rename(old)
        new.rename(directory)
        _remove(old)


def _remove(directory: StoredPath) -> None:
    """Removes a directory, and what Orbax has begun to write under its name."""
    if not directory.parent.is_dir():
        return
    for path in directory.parent.iterdir():
        is_partial = path.name.startswith(f"{directory.name}.") and "tmp" in path.name
        if path.name == directory.name or is_partial:
            path.rmtree(missing_ok=True)
