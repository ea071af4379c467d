"""Named parts of the parameters, to keep some of them fixed while others are trained.

A part is named by its path among the parameters, as `decoder/cross_attention`, or as
one of three: `embedding` has every matrix of embeddings, every table of positions and
the bias of the logits; `encoder` and `decoder` have the last LayerNorm of their stack
with them.
"""

import difflib
import math
from collections.abc import Iterable

import flax.traverse_util
import jax
from jaxtyping import PyTree

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.model.size import abstract_params

_PART_OF = {
    "source_embedding": "embedding",
    "target_embedding": "embedding",
    "output_embedding": "embedding",
    "output_bias": "embedding",
    "source_position": "embedding",
    "target_position": "embedding",
    "encoder_norm": "encoder",
    "decoder_norm": "decoder",
}


def split_params(params: PyTree, frozen: Iterable[str]) -> tuple[PyTree, PyTree]:
    """Returns the parameters to train, and those in frozen parts.

    Both are nested as the parameters are, without what is in the other.

    Args:
        params: nested dictionaries, with any leaves.
        frozen: names of parts.

    Raises:
        InputError: a name is that of no part, or nothing is left to train.
    """
    names = set(frozen)
    if not names:
        return params, {}
    leaves = _flatten(params)
    _check_names(names, leaves)
    fixed = {path: leaf for path, leaf in leaves.items() if names & _names_of(path)}
    trained = {path: leaf for path, leaf in leaves.items() if path not in fixed}
    if not trained:
        raise InputError(
            f"training.frozen={tuple(sorted(names))} leaves nothing to train: take a "
            "part out."
        )
    return _nest(trained), _nest(fixed)


def merge_params(trained: PyTree, fixed: PyTree) -> PyTree:
    """Returns the parameters that `split_params` has split."""
    if not fixed:
        return trained
    return _nest({**_flatten(trained), **_flatten(fixed)})


def count_trained(config: ModelConfig, frozen: Iterable[str]) -> int:
    """Returns the number of parameters outside the frozen parts.

    Raises:
        InputError: a name is that of no part.
    """
    trained, _ = split_params(abstract_params(config), frozen)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(trained))


def _flatten(params: PyTree) -> PyTree:
    return flax.traverse_util.flatten_dict(params, sep="/")


def _nest(leaves: PyTree) -> PyTree:
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def _names_of(path: str) -> set[str]:
    """Returns the names of all parts that a parameter is in."""
    parts = path.split("/")
    paths = {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return paths | {_PART_OF.get(parts[0], parts[0])}


def _check_names(names: set[str], paths: Iterable[str]) -> None:
    known = set().union(*map(_names_of, paths))
    for name in sorted(names - known):
        nearest = difflib.get_close_matches(name, sorted(known), n=1)
        hint = (
            f"did you mean {nearest[0]!r}?"
            if nearest
            else "expected embedding, encoder, decoder, or a path, as "
            "'decoder/cross_attention'."
        )
        raise InputError(f"training.frozen={name!r} is no part of this model; {hint}")
