"""Adam with the inverse-square-root schedule, as one Optax chain."""

import jax.numpy as jnp
import optax

from transformer_jax.config.experiment import ExperimentConfig


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


def make_schedule(config: ExperimentConfig) -> optax.Schedule:
    """Returns the learning rate of a run, by its updates counted from 0.

    Example:
        >>> schedule = tj.make_schedule(tj.ExperimentConfig())
        >>> round(float(schedule(3_999)), 7)  # at the end of warm-up it is highest
        0.0006988

    Paper: section 5.3.
    Differs from the paper: with `cooldown_steps`, the last updates fall linearly to 0.
    """
    settings = config.optimizer
    schedule = inverse_square_root_schedule(
        config.model.d_model, settings.warmup_steps, settings.learning_rate_scale
    )
    if settings.cooldown_steps is None:
        return schedule
    begin = config.training.num_steps - settings.cooldown_steps
    cooldown = optax.linear_schedule(1.0, 0.0, settings.cooldown_steps, begin)
    return lambda count: schedule(count) * cooldown(count)


def make_optimizer(
    config: ExperimentConfig, schedule: optax.Schedule | None = None
) -> optax.GradientTransformation:
    """Returns the paper's Adam, after clipping where the settings ask for it.

    Args:
        schedule: the learning rate by update, counted from 0. None = `make_schedule`'s.

    Example:
        >>> optimizer = tj.make_optimizer(tj.ExperimentConfig())
        >>> state = optimizer.init({"scale": 1.0})

    Paper: section 5.3.
    """
    settings = config.optimizer
    adam = optax.adam(
        schedule or make_schedule(config),
        b1=settings.beta1,
        b2=settings.beta2,
        eps=settings.epsilon,
    )
    if settings.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(settings.max_gradient_norm), adam)
