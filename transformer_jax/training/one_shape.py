"""Keeping a step from being compiled for a second shape."""

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
from jax import Array
from jaxtyping import PyTree

from transformer_jax.data.batch import Batch
from transformer_jax.training.state import TrainState

TrainStep: TypeAlias = Callable[
    [TrainState, Batch], tuple[TrainState, dict[str, Array]]
]


class RecompilationError(RuntimeError):
    """A step was given arrays of other shapes than those it was compiled for."""


class OneShape:
    """Refuses arrays of other shapes than the first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def require(self, state: TrainState, batch: Batch) -> None:
        """Raises RecompilationError if the shapes are not those of the first call."""
        first, shapes = self._first, _shapes({"state": state, "batch": batch})
        changes = [
            f"{name} {first.get(name)} -> {shapes.get(name)}"
            for name in sorted(first | shapes)
            if first and first.get(name) != shapes.get(name)
        ]
        if changes:
            more = f" and {len(changes) - 8} more" if len(changes) > 8 else ""
            raise RecompilationError(
                f"the step was compiled for other shapes: {', '.join(changes[:8])}"
                f"{more}; keep them, or make another step for each."
            )
        first.update(shapes)

    def required_by(self, step: TrainStep) -> TrainStep:
        """Returns the step, which refuses other shapes when it is traced again."""

        @functools.wraps(step)
        def trace(
            state: TrainState, batch: Batch
        ) -> tuple[TrainState, dict[str, Array]]:
            self.require(state, batch)
            return step(state, batch)

        return trace


def _shapes(tree: PyTree) -> dict[str, str]:
    """Returns dtype and shape of every leaf by its path, as `batch.source`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
