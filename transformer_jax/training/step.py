"""One update: loss, gradient, Adam, all in one compiled function."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import for_platform
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.loss.batch_loss import batch_loss
from transformer_jax.loss.cross_entropy import LossSums
from transformer_jax.loss.sums import count_tokens
from transformer_jax.training.optimizer import make_optimizer, make_schedule
from transformer_jax.training.state import TrainState, abstract_state, make_rng

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]


class RecompilationError(RuntimeError):
    """A step was given arrays of other shapes than those it was compiled for."""


def make_train_step(config: ExperimentConfig, mesh: Mesh) -> TrainStep:
    """Returns `(state, batch) -> (state, metrics)`, compiled; it consumes its state.

    The loss is the mean over the real target tokens of the global batch. An update
    whose loss or gradient is not finite is not applied: `step`, parameters and
    optimizer stay, `batches` advances, and the metrics say `skipped` = 1.

    With `training.ema_decay` the state carries a running average of its parameters
    too, see `running_average`.

    Metrics are scalars: the counts and sums of `loss`, `gradient_norm` (before
    clipping), `learning_rate`, `skipped`.

    It is compiled for one shape of state and batch. A run whose shapes change would
    spend its time compiling, so another shape raises RecompilationError.

    Paper: sections 5.3 and 5.4.
    """
    config = for_platform(config, mesh)
    run = config.optimizer, config.model.d_model, config.training.num_steps
    optimizer, schedule = make_optimizer(*run), make_schedule(*run)
    rng = make_rng(config.training, "dropout")

    def train_step(
        state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        counts = count_tokens(batch.source_segments, batch.target_segments)
        dropout_rng = jax.random.fold_in(rng, state.batches)
        with sharding.laid_out(mesh):
            gradients, sums = _gradients(
                config,
                num_row_groups(mesh),
                state.params,
                batch,
                counts["target_tokens"],
                dropout_rng,
            )
        gradient_norm = optax.tree.norm(gradients)
        finite = jnp.isfinite(gradient_norm) & jnp.isfinite(sums.loss)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        averaged = running_average(
            state.averaged_params, params, state.step, config.training.ema_decay
        )

        def if_finite(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

        report = {
            **counts,
            **sums._asdict(),
            "gradient_norm": gradient_norm,
            "learning_rate": schedule(state.step),
            "skipped": 1.0 - finite.astype(jnp.float32),
        }
        state = TrainState(
            step=state.step + finite.astype(jnp.int32),
            batches=state.batches + 1,
            params=if_finite(params, state.params),
            opt_state=if_finite(opt_state, state.opt_state),
            averaged_params=if_finite(averaged, state.averaged_params),
        )
        return state, report

    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))
    return jax.jit(
        _for_one_shape(train_step),
        donate_argnums=0,
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated(mesh)),
    )


def running_average(average: Any, params: Any, step: Array, decay: float | None) -> Any:
    """Returns the exponential average after one more update; None if it is off.

    It begins as a copy of the parameters. So that these, which were random, soon weigh
    nothing, the decay after update t is min(decay, (1 + t) / (10 + t)).

    Args:
        step: updates applied before this one.

    Differs from the paper: it averages checkpoints once training has ended.
    """
    if decay is None:
        return None
    # One minus the decay, exact for decays near 1.
    weight = jnp.maximum(1.0 - decay, 9.0 / (11.0 + step))
    # Not `decay * a + weight * p`: rounded, their sum is not 1, which would pull the
    # average a little towards or away from 0 at every update, always the same way.
    return jax.tree.map(lambda a, p: a + weight * (p - a), average, params)


def _gradients(
    config: ExperimentConfig,
    row_groups: int,
    params: Any,
    batch: Batch,
    num_tokens: Array,
    dropout_rng: Array,
) -> tuple[Any, LossSums]:
    """Returns the gradient of the mean loss over a batch, and the sums of the loss.

    With `accumulation_steps` the parts of the batch are taken one after the other. Part
    i has the rows i, i + parts, ..., so that every device has its share of each.
    """

    def mean_loss(params: Any, part: Batch, rng: Array) -> tuple[Array, LossSums]:
        sums = batch_loss(config, params, part, rng, row_groups=row_groups)
        return sums.loss / jnp.maximum(num_tokens, 1.0), sums

    gradients_of = jax.grad(mean_loss, has_aux=True)
    parts = config.training.accumulation_steps
    if parts == 1:
        return gradients_of(params, batch, dropout_rng)

    def split(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

    def add_part(total: Any, inputs: Any) -> tuple[Any, None]:
        part, index = inputs
        rng = jax.random.fold_in(dropout_rng, index)
        return jax.tree.map(jnp.add, total, gradients_of(params, part, rng)), None

    zero = LossSums(jnp.zeros(()), jnp.zeros(()))
    start = jax.tree.map(jnp.zeros_like, params), zero
    inputs = jax.tree.map(split, batch), jnp.arange(parts)
    return jax.lax.scan(add_part, start, inputs)[0]


def _for_one_shape(step: TrainStep) -> TrainStep:
    """Returns the step, which when traced again refuses other shapes than the first."""
    first: dict[str, str] = {}

    @functools.wraps(step)
    def traced(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        shapes = _shapes({"state": state, "batch": batch})
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
        result = step(state, batch)
        first.update(shapes)
        return result

    return traced


def _shapes(tree: Any) -> dict[str, str]:
    """Returns dtype and shape of every leaf by its path, as `batch.source`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
