"""Adam with the inverse-square-root schedule, as one Optax chain."""

import jax.numpy as jnp
import optax

from transformer_jax.config.experiment import OptimizerConfig


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


def make_schedule(
    config: OptimizerConfig, d_model: int, num_steps: int
) -> optax.Schedule:
    """Returns the learning rate of a run of `num_steps` updates.

    Paper: section 5.3.
    Differs from the paper: with `cooldown_steps`, the last updates fall linearly to 0.
    """
    schedule = inverse_square_root_schedule(
        d_model, config.warmup_steps, config.learning_rate_scale
    )
    if config.cooldown_steps is None:
        return schedule
    cooldown = optax.linear_schedule(
        1.0, 0.0, config.cooldown_steps, num_steps - config.cooldown_steps
    )
    return lambda count: schedule(count) * cooldown(count)


def make_optimizer(
    config: OptimizerConfig, d_model: int, num_steps: int
) -> optax.GradientTransformation:
    """Returns the paper's Adam, after clipping where the settings ask for it.

    Paper: section 5.3.
    """
    schedule = make_schedule(config, d_model, num_steps)
    adam = optax.adam(schedule, b1=config.beta1, b2=config.beta2, eps=config.epsilon)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)
