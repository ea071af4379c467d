"""Section 5.3 written out in NumPy float64: the schedule, Adam, clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import tiny_config

from transformer_jax.config.experiment import OptimizerConfig
from transformer_jax.training.optimizer import (
    inverse_square_root_schedule,
    make_optimizer,
    make_schedule,
)


def learning_rate(step, d_model, warmup_steps):
    """Equation (3); the first step is 1."""
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


def test_schedule_is_equation_3():
    schedule = inverse_square_root_schedule(512, 4_000)
    for step in (1, 2, 3_999, 4_000, 4_001, 100_000):
        expected = learning_rate(step, 512, 4_000)
        np.testing.assert_allclose(schedule(step - 1), expected, rtol=1e-6)
    # It rises to warmup_steps and falls from there; at its highest by hand:
    peak = np.argmax([schedule(count) for count in range(3_990, 4_010)])
    assert 3_990 + peak + 1 == 4_000
    np.testing.assert_allclose(schedule(3_999), 1 / np.sqrt(512 * 4_000), rtol=1e-6)


def test_scale_multiplies_the_schedule():
    once, twice = (inverse_square_root_schedule(64, 10, scale) for scale in (1.0, 2.0))
    np.testing.assert_allclose(2 * once(3), twice(3), rtol=1e-6)


# Two parameters, so that a global norm is not the norm of either.
SHAPES = {"a": (3, 2), "b": (4,)}


def gradients_of(num_steps):
    rng = np.random.default_rng(0)
    return [
        {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
        for _ in range(num_steps)
    ]


def adam(gradients, *, d_model, warmup_steps, scale=1.0):
    """Yields the updates. Kingma and Ba (2015), algorithm 1, with 5.3's constants."""
    beta1, beta2, epsilon = 0.9, 0.98, 1e-9
    first = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    second = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for step, gradient in enumerate(gradients, start=1):
        updates = {}
        for name, g in gradient.items():
            first[name] = beta1 * first[name] + (1 - beta1) * g
            second[name] = beta2 * second[name] + (1 - beta2) * g**2
            m = first[name] / (1 - beta1**step)
            v = second[name] / (1 - beta2**step)
            rate = scale * learning_rate(step, d_model, warmup_steps)
            updates[name] = -rate * m / (np.sqrt(v) + epsilon)
        yield updates


def experiment(config, num_steps=100):
    return tiny_config(model__d_model=16, training__num_steps=num_steps).replace(
        optimizer=config
    )


def assert_updates(config, gradients, expected):
    optimizer = make_optimizer(experiment(config))
    state = optimizer.init({name: jnp.zeros(shape) for name, shape in SHAPES.items()})
    update = jax.jit(optimizer.update)
    for gradient, reference in zip(gradients, expected, strict=True):
        gradient = jax.tree.map(lambda g: jnp.asarray(g, jnp.float32), gradient)
        updates, state = update(gradient, state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-8),
            updates,
            reference,
        )


def test_updates_are_those_of_adam_before_at_and_after_the_end_of_warmup():
    gradients = gradients_of(20)
    config = OptimizerConfig(warmup_steps=10, learning_rate_scale=2.0)
    expected = adam(gradients, d_model=16, warmup_steps=10, scale=2.0)
    assert_updates(config, gradients, expected)


def test_tiny_gradients_show_the_paper_s_epsilon():
    gradients = [jax.tree.map(lambda g: 1e-9 * g, g) for g in gradients_of(3)]
    expected = adam(gradients, d_model=16, warmup_steps=10)
    assert_updates(OptimizerConfig(warmup_steps=10), gradients, expected)


def test_clipping_scales_larger_gradients_to_the_global_norm():
    gradients = gradients_of(6)
    gradients[3] = jax.tree.map(lambda g: 0.01 * g, gradients[3])  # Not clipped.

    def clipped(gradient):
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        return {name: g * min(1.0, 0.5 / norm) for name, g in gradient.items()}

    expected = adam(map(clipped, gradients), d_model=16, warmup_steps=10)
    config = OptimizerConfig(warmup_steps=10, max_gradient_norm=0.5)
    assert_updates(config, gradients, expected)


@pytest.mark.parametrize("max_gradient_norm", [None, 1.0])
def test_state_is_float32(max_gradient_norm):
    config = OptimizerConfig(max_gradient_norm=max_gradient_norm)
    state = make_optimizer(experiment(config)).init({"a": jnp.zeros(3)})
    floats = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert len(floats) == 2
    assert all(leaf.dtype == jnp.float32 for leaf in floats)


def test_a_cooldown_falls_linearly_to_zero_after_the_last_update():
    config = OptimizerConfig(warmup_steps=5, cooldown_steps=10)
    paper = inverse_square_root_schedule(16, 5)
    schedule = make_schedule(experiment(config, num_steps=40))
    factors = [float(schedule(count) / paper(count)) for count in range(41)]
    np.testing.assert_allclose(factors[:31], 1.0)
    np.testing.assert_allclose(factors[30:], np.linspace(1.0, 0.0, 11), atol=1e-6)
