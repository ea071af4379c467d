"""Whether an update may be applied: its loss and gradient are those of a sane model.

An update from a batch without meaning, or from parameters that a too high rate has
thrown far away, is not applied. The limits are constants of the run or part of its
state, so that a run which was interrupted takes the same decisions.
"""

import math
from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.training.state import TrainState

# The mean of the gradient norms is known well enough after so many updates.
_SETTLED_UPDATES = 100
_DECAY = 0.99


def highest_loss(config: ExperimentConfig) -> float:
    """Returns the largest loss of an update in nats a token, inf without a limit.

    A model that gives every token the same probability has the logarithm of the
    vocabulary.
    """
    ratio = config.training.max_loss_ratio
    if ratio is None:
        return math.inf
    return ratio * math.log(config.model.output_vocab_size)


def is_sound(
    config: ExperimentConfig, loss: Array, gradient_norm: Array, state: TrainState
) -> Array:
    """Returns whether an update of a state may be applied, as a boolean scalar.

    Args:
        loss: in nats a token.
    """
    finite = jnp.isfinite(gradient_norm) & jnp.isfinite(loss)
    sound = finite & (loss <= highest_loss(config))
    mean_norm, ratio = state.mean_gradient_norm, config.training.max_gradient_ratio
    if mean_norm is None or ratio is None:
        return sound
    is_known = state.step >= _SETTLED_UPDATES
    return sound & (~is_known | (gradient_norm <= ratio * mean_norm))


def update_mean_norm(gradient_norm: Array, state: TrainState) -> Array | None:
    """Returns the running mean of the gradient norms after one more; None if off."""
    mean_norm = state.mean_gradient_norm
    if mean_norm is None:
        return None
    weight = jnp.maximum(1.0 - _DECAY, 1.0 / (1.0 + state.step))
    return mean_norm + weight * (gradient_norm - mean_norm)


def why_unsound(config: ExperimentConfig, report: Mapping[str, float]) -> str:
    """Returns why an update was skipped, from its metrics."""
    loss, norm = report["loss"], report["gradient_norm"]
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return f"loss {loss:.4g} or gradient norm {norm:.4g} is not finite"
    if loss > highest_loss(config):
        return (
            f"loss {loss:.4g} is above {highest_loss(config):.4g}, "
            f"{config.training.max_loss_ratio:g} times that of a guess "
            "(training.max_loss_ratio)"
        )
    return (
        f"gradient norm {norm:.4g} is above {config.training.max_gradient_ratio:g} "
        "times its mean (training.max_gradient_ratio)"
    )
