"""Checkpoints as NumPy arrays by name, out and in again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transformer_jax.checkpoints.choosing import (
    Which,
    checkpoint_dir,
    naming_another,
)
from transformer_jax.checkpoints.contents import (
    check_fits,
    load_description,
    load_params_to_host,
)
from transformer_jax.checkpoints.saving_parameters import save_parameters
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.storage.work_directory import PathLike, StoredPath
from transformer_jax.tokenizer.tokenizer import Tokenizer

# What docs/api.md calls parts of a name, as `decoder/feed_forward/inner/bias`.
_SEPARATOR = "/"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model in the memory of this machine, without JAX's arrays.

    Example:
        >>> checkpoint = tj.load_checkpoint(workdir)
        >>> checkpoint.params["embedding/matrix"].shape
        (300, 32)
        >>> sorted(checkpoint.tree["decoder"]["feed_forward"]["inner"])
        ['bias', 'kernel']
    """

    params: dict[str, np.ndarray]
    """Float32 arrays by their names, as `decoder/cross_attention/query/kernel`: the
    table of `docs/api.md`."""
    config: ExperimentConfig
    """The settings it was trained with."""
    tokenizer: Tokenizer
    directory: str
    """The checkpoint's own directory, which "latest" or "best" has meant."""

    @property
    def tree(self) -> Params:
        """The same arrays as nested dictionaries, which `Transformer.apply` takes."""
        return tree_of(self.params)


def load_checkpoint(path: PathLike, checkpoint: Which = "latest") -> Checkpoint:
    """Returns the parameters of a checkpoint as NumPy arrays, settings and tokenizer.

    Nothing is put on a device. `numpy.savez("model.npz", **checkpoint.params)` writes
    the parameters for other programs.

    Args:
        path: a work directory; or the directory of one checkpoint, of one average, or
            of what `save_checkpoint` has written.
        checkpoint: of a work directory: "latest", "best", "average" or a step.

    Raises:
        InputError: there is no such checkpoint, or it is damaged.

    Example:
        >>> checkpoint = tj.load_checkpoint(workdir)
        >>> norm = checkpoint.params["encoder/feed_forward_residual/norm/scale"]
        >>> norm.shape == (2, checkpoint.config.model.d_model)  # layers, d_model
        True
    """
    directory = checkpoint_dir(path, checkpoint)
    with naming_another(directory):
        config, tokenizer = load_description(directory)
        check_fits(config, directory)
        params = load_params_to_host(directory)
    arrays = {name: np.asarray(array) for name, array in arrays_by_name(params)}
    return Checkpoint(arrays, config, tokenizer, str(directory))


def save_checkpoint(
    path: PathLike,
    params: Mapping[str, Any],
    config: ExperimentConfig,
    tokenizer: Tokenizer,
) -> StoredPath:
    """Writes arrays as one checkpoint; returns its directory.

    It is `save_parameters` for arrays of any origin: `translate`, `score`, `evaluate`
    and `training.initial_checkpoint` read the result. Nothing is written unless all
    parameters are there, of the right shapes and finite.

    Args:
        path: a new directory, an empty one, or one that this function has written,
            which is then replaced.
        params: arrays by name, as of `load_checkpoint`, or the nested dictionaries.
            Of any kind of real numbers: float16, bfloat16 and float64 become float32.
        config: the settings of the model.
        tokenizer: the one whose token ids the model knows.

    Raises:
        InputError: the parameters do not fit the settings, and the message names the
            first; or the tokenizer does not, or the directory holds something else.
        SaveError: it cannot be written.

    Example:
        >>> old = tj.load_checkpoint(workdir)
        >>> halved = {name: 0.5 * array for name, array in old.params.items()}
        >>> saved = tj.save_checkpoint("halved", halved, old.config, old.tokenizer)
        >>> tj.load_checkpoint("halved").params.keys() == old.params.keys()
        True
    """
    return save_parameters(path, config, tree_of(params), tokenizer)


def tree_of(params: Mapping[str, Any]) -> Params:
    """Returns arrays by name as nested dictionaries; nested ones stay as they are.

    Raises:
        InputError: a name is given twice or is a part of another, or is no array's.
    """
    tree: dict[str, Any] = {}
    for name, array in arrays_by_name(params):
        *parents, last = name.split(_SEPARATOR)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"params: {name} is below another parameter.")
        if last in node:
            raise InputError(f"params: {name} is given twice, or has others below it.")
        if not hasattr(array, "dtype") or not hasattr(array, "shape"):
            raise InputError(
                f"params: {name} is {type(array).__name__}; expected an array of real "
                "numbers."
            )
        node[last] = array
    return tree


def arrays_by_name(
    params: Mapping[str, Any], parents: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Yields each array of nested dictionaries with its name.

    Raises:
        InputError: they are no dictionaries, or a key is no name.
    """
    if not isinstance(params, Mapping):
        raise InputError(
            f"params is {type(params).__name__}; expected a dictionary of arrays."
        )
    for key, value in params.items():
        if not isinstance(key, str):
            raise InputError(f"params: {key!r} is no name of a parameter.")
        path = (*parents, key)
        if isinstance(value, Mapping):
            yield from arrays_by_name(value, path)
        else:
            yield _SEPARATOR.join(path), value
