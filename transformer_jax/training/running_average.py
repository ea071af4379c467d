"""The running average of the parameters."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from transformer_jax.model.params import Params
from transformer_jax.model.parts import merge_params, split_params


def update_average(
    average: Params | None,
    params: Params,
    step: Array,
    decay: float | None,
    frozen: Sequence[str] = (),
) -> Params | None:
    """Returns the exponential average after one more update; None if it is off.

    It begins as a copy of the parameters. So that these, which were random, soon weigh
    nothing, the decay after update t is min(decay, (1 + t) / (10 + t)).

    Args:
        step: updates applied before this one.
        frozen: parts of the model that are not trained: they stay to the bit.

    Differs from the paper: it averages checkpoints once training has ended.
    """
    if decay is None:
        return None
    # One minus the decay, exact for decays near 1.
    weight = jnp.maximum(1.0 - decay, 9.0 / (11.0 + step))
    # Not `decay * a + weight * p`: rounded, their sum is not 1, which would pull the
    # average a little towards or away from 0 at every update, always the same way.
    before, fixed = split_params(average, frozen)
    now, _ = split_params(params, frozen)
    updated = jax.tree.map(lambda a, p: a + weight * (p - a), before, now)
    merged: Params = merge_params(updated, fixed)
    return merged
