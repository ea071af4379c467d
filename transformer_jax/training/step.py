"""One update: loss, gradient, Adam, all in one compiled function."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import decide_model, loss_slice_tokens
from transformer_jax.devices.mesh import num_row_groups
from transformer_jax.loss.batch_loss import batch_loss
from transformer_jax.loss.cross_entropy import LossSums
from transformer_jax.loss.sums import count_tokens
from transformer_jax.model.params import Params
from transformer_jax.training.one_shape import TrainStep, for_one_shape
from transformer_jax.training.optimizer import make_optimizer, make_schedule
from transformer_jax.training.running_average import update_average
from transformer_jax.training.state import TrainState, abstract_state, make_rng

_Tree = TypeVar("_Tree")
_Result: TypeAlias = tuple[Params, LossSums]  # gradients, sums


def make_train_step(config: ExperimentConfig, mesh: Mesh) -> TrainStep:
    """Returns `(state, batch) -> (state, metrics)`, compiled; it consumes its state.

    The loss is the mean over the real target tokens of the global batch. An update
    whose loss or gradient is not finite is not applied: `step`, parameters and
    optimizer stay, `batches` advances, and the metrics say `skipped` = 1.

    With `training.ema_decay` the state carries a running average of its parameters
    too, see `update_average`.

    Metrics are scalars: the counts and sums of `loss`, `gradient_norm` (before
    clipping), `learning_rate`, `skipped`.

    It is compiled for one shape of state and batch: a run whose shapes change would
    spend its time compiling.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask.
        RecompilationError: the step was called with another shape than at first.

    Example:
        >>> mesh = tj.make_mesh(config.mesh)
        >>> state, step = tj.init_state(config, mesh), tj.make_train_step(config, mesh)
        >>> corpus = tj.prepare(config, workdir, train_pairs=pairs).train
        >>> packed = tj.pack_corpus(corpus, config.data, seed=0)
        >>> batch = next(tj.make_batches(corpus, packed, config.data, seed=0))
        >>> state, metrics = step(state, tj.make_global(batch, mesh))
        >>> int(state.step), float(metrics["skipped"])
        (1, 0.0)

    Paper: sections 5.3 and 5.4.
    """
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))
    slice_tokens = loss_slice_tokens(config.training, mesh) * num_row_groups(mesh)
    config = config.replace(model=decide_model(config.model, mesh))
    run = config.optimizer, config.model.d_model, config.training.num_steps
    optimizer, schedule = make_optimizer(*run), make_schedule(*run)
    rng = make_rng(config.training, "dropout")

    def train_step(
        state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        counts = count_tokens(batch.source_segments, batch.target_segments)
        dropout_rng = jax.random.fold_in(rng, state.batches)
        with sharding.activation_layout(mesh):
            gradients, sums = _gradients(
                config,
                slice_tokens,
                state.params,
                batch,
                counts["target_tokens"],
                dropout_rng,
            )
        gradient_norm = optax.tree.norm(gradients)
        finite = jnp.isfinite(gradient_norm) & jnp.isfinite(sums.loss)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        averaged = update_average(
            state.averaged_params, params, state.step, config.training.ema_decay
        )

        def if_finite(new: _Tree, old: _Tree) -> _Tree:
            chosen: _Tree = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)
            return chosen

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

    return jax.jit(
        for_one_shape(train_step),
        donate_argnums=0,
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated_sharding(mesh)),
    )


def _gradients(
    config: ExperimentConfig,
    slice_tokens: int,
    params: Params,
    batch: Batch,
    num_tokens: Array,
    dropout_rng: Array,
) -> _Result:
    """Returns the gradient of the mean loss over a batch, and the sums of the loss.

    With `accumulation_steps` the parts of the batch are taken one after the other. Part
    i has the rows i, i + parts, ..., so that every device has its share of each.
    """

    def mean_loss(params: Params, part: Batch, rng: Array) -> tuple[Array, LossSums]:
        sums = batch_loss(config, params, part, rng, slice_tokens=slice_tokens)
        return sums.loss / jnp.maximum(num_tokens, 1.0), sums

    gradients_of: Callable[..., _Result] = jax.grad(mean_loss, has_aux=True)
    parts = config.training.accumulation_steps
    if parts == 1:
        return gradients_of(params, batch, dropout_rng)

    def split(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

    def add_part(total: _Result, inputs: tuple[Batch, Array]) -> tuple[_Result, None]:
        part, index = inputs
        rng = jax.random.fold_in(dropout_rng, index)
        added: _Result = jax.tree.map(jnp.add, total, gradients_of(params, part, rng))
        return added, None

    zero = LossSums(jnp.zeros(()), jnp.zeros(()))
    start = jax.tree.map(jnp.zeros_like, params), zero
    inputs = jax.tree.map(split, batch), jnp.arange(parts)
    total: _Result = jax.lax.scan(add_part, start, inputs)[0]
    return total
