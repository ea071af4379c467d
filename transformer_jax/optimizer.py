"""Adam with the inverse-square-root schedule, as one Optax chain."""

import jax.numpy as jnp
import optax

from transformer_jax.config import OptimizerConfig


def inverse_square_root_schedule(
    d_model: int, warmup_steps: int, scale: float = 1.0
) -> optax.Schedule:
    """Returns `scale * d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5)`.

    Optax counts updates from 0, the paper from 1: update number `count` is the paper's
    step `count + 1`, so that the first update already learns.

    Paper: section 5.3, equation (3).
    """

    def schedule(count):  # type: ignore[no-untyped-def]
        step = jnp.asarray(count, jnp.float32) + 1.0
        return (
            scale * d_model**-0.5 * jnp.minimum(step**-0.5, step * warmup_steps**-1.5)
        )

    return schedule


def make_optimizer(
    config: OptimizerConfig, d_model: int
) -> optax.GradientTransformation:
    """Returns the paper's Adam, after clipping where the settings ask for it.

    Paper: section 5.3.
    """
    schedule = inverse_square_root_schedule(
        d_model, config.warmup_steps, config.learning_rate_scale
    )
    adam = optax.adam(schedule, b1=config.beta1, b2=config.beta2, eps=config.epsilon)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)
