"""One update: loss, gradient, Adam, all in one compiled function."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.program_settings import program_settings
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import decide_model
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.errors import InputError
from transformer_jax.loss.batch_loss import LossFunction, make_loss
from transformer_jax.loss.corpus_sums import corpus_means
from transformer_jax.loss.cross_entropy import CorpusLossSums, LossSums
from transformer_jax.loss.sums import count_tokens
from transformer_jax.model.params import Params
from transformer_jax.model.parts import merge_params, split_params
from transformer_jax.training.one_shape import OneShape, TrainStep
from transformer_jax.training.optimizer import make_optimizer, make_schedule
from transformer_jax.training.running_average import update_average
from transformer_jax.training.soundness import is_sound, update_mean_norm
from transformer_jax.training.state import TrainState, abstract_state, make_rng

_Tree = TypeVar("_Tree")
_Sums: TypeAlias = LossSums | CorpusLossSums
_Result: TypeAlias = tuple[Params, _Sums]  # gradients, sums


def make_train_step(
    config: ExperimentConfig,
    mesh: Mesh,
    *,
    loss: LossFunction | None = None,
    schedule: optax.Schedule | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> TrainStep:
    """Returns `(state, batch) -> (state, metrics)`, compiled; it consumes its state.

    The loss is the mean over the real target tokens of the global batch. An update
    whose loss or gradient is not finite, or above the limits of `config.training`, is
    not applied: `step`, parameters and optimizer stay, `batches` advances, and the
    metrics say `skipped` = 1.

    With `training.ema_decay` the state carries a running average of its parameters
    too, see `update_average`. Parts in `training.frozen` have no gradient, and stay as
    they are to the bit.

    Metrics are float32 scalars: `loss` and `nll`, the means over the target tokens of
    the batch in nats; `gradient_norm` (of what is trained, before clipping),
    `learning_rate`, `skipped`; and counts: `source_tokens`, `target_tokens`,
    `source_slots`, `target_slots`. Of several corpora also `loss_by_corpus`,
    `nll_by_corpus` and `target_tokens_by_corpus`, float32 [corpora], in the order of
    `data.corpora`.

    It is compiled for one shape of state and batch: a run whose shapes change would
    spend its time compiling.

    Args:
        loss: the loss to minimise, see `batch_loss`, which is the default. It returns
            sums over the target tokens, not means: a term of your own that is a mean
            has to be multiplied by `jnp.sum(batch.target_segments != 0)`. Its `config`
            has the settings that depend on the devices decided.
        schedule: the learning rate by update, counted from 0. None = `make_schedule`'s.
        optimizer: None = the paper's Adam with the schedule. With one of your own, give
            `init_state` the same; `learning_rate` is then only in the metrics if its
            schedule is given too.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask, or
            loss, schedule or optimizer are none; at the first update, if the loss
            returns something else than `LossSums` of scalars.
        RecompilationError: the step was called with another shape than at first.

    Example:
        >>> mesh = tj.make_mesh(config.mesh)
        >>> state, step = tj.init_state(config, mesh), tj.make_train_step(config, mesh)
        >>> corpus = tj.prepare(config, "runs/prepared", train_pairs=pairs).train
        >>> packed = tj.pack_corpus(corpus, config.data, seed=0)
        >>> batch = next(tj.make_batches(corpus, packed, config.data, seed=0))
        >>> state, metrics = step(state, tj.make_global(batch, mesh))
        >>> int(state.step), float(metrics["skipped"])
        (1, 0.0)

    Paper: sections 5.3 and 5.4.
    """
    require_config(config, ExperimentConfig)
    _check_parts(loss, schedule, optimizer)
    abstract = abstract_state(config, mesh, optimizer)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    is_own = (loss, schedule, optimizer) != (None, None, None)
    if optimizer is None:
        schedule = schedule or make_schedule(config)
        optimizer = make_optimizer(config, schedule)
    update = _make_update(
        config.replace(model=decide_model(config.model, mesh)),
        mesh,
        loss or make_loss(config, mesh),
        schedule,
        optimizer,
    )
    one_shape = OneShape()
    step: TrainStep = jax.jit(
        one_shape.required_by(update),
        donate_argnums=0,
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated_sharding(mesh)),
    )
    if is_own:  # What they compute has no name.
        return step
    made_of = program_settings(config)
    return keep_whole(step, "train_step", made_of, mesh, before=one_shape.require)


def _check_parts(
    loss: Any, schedule: Any, optimizer: optax.GradientTransformation | None
) -> None:
    """Checks the kinds of what a step is made of."""
    for name, given in (("loss", loss), ("schedule", schedule)):
        if given is not None and not callable(given):
            raise InputError(f"{name}={given!r:.60} must be a function, or None.")
    if optimizer is not None and not (
        callable(getattr(optimizer, "init", None))
        and callable(getattr(optimizer, "update", None))
    ):
        raise InputError(
            f"optimizer={optimizer!r:.60} must be one of Optax, as optax.adam(1e-3)."
        )


def _make_update(
    config: ExperimentConfig,
    mesh: Mesh,
    loss_of: LossFunction,
    schedule: optax.Schedule | None,
    optimizer: optax.GradientTransformation,
) -> TrainStep:
    """Returns the update, not yet compiled, see `make_train_step`."""
    rng = make_rng(config.training, "dropout")
    frozen = config.training.frozen

    def train_step(
        state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        counts = count_tokens(batch.source_segments, batch.target_segments)
        num_tokens = jnp.maximum(counts["target_tokens"], 1.0)
        trained, fixed = split_params(state.params, frozen)
        dropout_rng = jax.random.fold_in(rng, state.batches)
        with sharding.activation_layout(mesh):
            gradients, sums = _gradients(
                config, loss_of, trained, fixed, batch, num_tokens, dropout_rng
            )
        gradient_norm = optax.tree.norm(gradients)
        means = LossSums(sums.loss / num_tokens, sums.nll / num_tokens)
        sound = is_sound(config, means.loss, gradient_norm, state)
        updates, opt_state = optimizer.update(gradients, state.opt_state, trained)
        params = merge_params(optax.apply_updates(trained, updates), fixed)
        decay = config.training.ema_decay
        averaged = update_average(
            state.averaged_params, params, state.step, decay, frozen
        )
        mean_norm = update_mean_norm(gradient_norm, state)

        def if_sound(new: _Tree, old: _Tree) -> _Tree:
            chosen: _Tree = jax.tree.map(lambda n, o: jnp.where(sound, n, o), new, old)
            return chosen

        report = {
            **counts,
            "loss": means.loss,
            "nll": means.nll,
            **corpus_means(config, batch, sums),
            "gradient_norm": gradient_norm,
            "skipped": 1.0 - sound.astype(jnp.float32),
        }
        if schedule is not None:
            report["learning_rate"] = jnp.float32(schedule(state.step))
        state = TrainState(
            step=state.step + sound.astype(jnp.int32),
            batches=state.batches + 1,
            params=if_sound(params, state.params),
            opt_state=if_sound(opt_state, state.opt_state),
            averaged_params=if_sound(averaged, state.averaged_params),
            mean_gradient_norm=if_sound(mean_norm, state.mean_gradient_norm),
        )
        return state, report

    return train_step


def _gradients(
    config: ExperimentConfig,
    loss_of: LossFunction,
    trained: Params,
    fixed: Params,
    batch: Batch,
    num_tokens: Array,
    dropout_rng: Array,
) -> _Result:
    """Returns the gradient of the mean loss over a batch, and the sums of the loss.

    The gradient is that of the trained parameters; the fixed ones have none.

    With `accumulation_steps` the parts of the batch are taken one after the other. Part
    i has the rows i, i + parts, ..., so that every device has its share of each.
    """

    def mean_loss(trained: Params, part: Batch, rng: Array) -> tuple[Array, _Sums]:
        sums = loss_of(config, merge_params(trained, fixed), part, rng)
        if not isinstance(sums, _Sums) or {*map(jnp.shape, sums[:2])} != {()}:
            raise InputError(
                f"the loss returned {sums!r:.60}: expected LossSums(loss=..., nll=...) "
                "of scalars, summed over the target tokens."
            )
        return sums.loss / num_tokens, sums

    gradients_of: Callable[..., _Result] = jax.grad(mean_loss, has_aux=True)
    parts = config.training.accumulation_steps
    if parts == 1:
        return gradients_of(trained, batch, dropout_rng)

    def split(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

    def add_part(total: _Result, inputs: tuple[Batch, Array]) -> tuple[_Result, None]:
        part, index = inputs
        rng = jax.random.fold_in(dropout_rng, index)
        added: _Result = jax.tree.map(jnp.add, total, gradients_of(trained, part, rng))
        return added, None

    inputs = jax.tree.map(split, batch), jnp.arange(parts)
    zero: _Sums = LossSums(jnp.zeros(()), jnp.zeros(()))
    if len(config.data.corpora) > 1:  # A loss of the user's may have no sums by corpus.
        first = jax.tree.map(lambda x: x[0], inputs[0])
        shapes = jax.eval_shape(gradients_of, trained, first, dropout_rng)[1]
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    start = jax.tree.map(jnp.zeros_like, trained), zero
    total: _Result = jax.lax.scan(add_part, start, inputs)[0]
    return total
