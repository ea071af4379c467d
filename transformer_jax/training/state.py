"""The state of a run between two updates."""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.config.program_settings import program_settings
from transformer_jax.devices import sharding
from transformer_jax.devices.kept_shapes import kept_boxes, kept_shapes
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.errors import InputError
from transformer_jax.kernels.random_bits import MURMUR
from transformer_jax.model.params import Params
from transformer_jax.model.parts import split_params
from transformer_jax.model.size import find_misfit
from transformer_jax.model.transformer import Transformer
from transformer_jax.training.optimizer import make_optimizer


@flax.struct.dataclass
class TrainState:
    """Parameters, optimizer state and the position in the data.

    `step` and `batches` are int32 scalars. The parameters are a tree of float32 arrays,
    named as in Flax; encoder and decoder arrays are `[layers, ...]`.

    Example:
        >>> state = tj.init_state(config, tj.make_mesh(config.mesh))
        >>> int(state.step), state.final_params is state.params
        (0, True)
    """

    step: Array  # int32 [], updates applied
    batches: Array  # int32 [], global batches taken; more than `step` by those skipped
    params: Params  # float32
    opt_state: optax.OptState  # float32
    averaged_params: Params | None = None  # float32; None without `training.ema_decay`
    # float32 [], running mean; None without `training.max_gradient_ratio`
    mean_gradient_norm: Array | None = None

    @property
    def final_params(self) -> Params:
        """Parameters to evaluate and translate with: the average if there is one."""
        return self.params if self.averaged_params is None else self.averaged_params


def make_rng(config: TrainingConfig, stream: str) -> Array:
    """Returns the key of a named stream (`init`, `dropout`) of the run's seed."""
    streams = {"init": 0, "dropout": 1}
    prng = MURMUR if config.prng == "murmur" else config.prng
    rng = jax.random.key(config.seed, impl=prng)
    return jax.random.fold_in(rng, streams[stream])


def checkpoint_items(state: TrainState) -> tuple[Params, dict[str, Any]]:
    """Returns the parts of a checkpoint: `final_params`, and all that is left."""
    rest: dict[str, Any] = {
        "step": state.step,
        "batches": state.batches,
        "opt_state": state.opt_state,
    }
    if state.mean_gradient_norm is not None:
        rest["mean_gradient_norm"] = state.mean_gradient_norm
    if state.averaged_params is None:
        return state.params, rest
    return state.averaged_params, {**rest, "params": state.params}


def state_of_items(final_params: Params, rest: dict[str, Any]) -> TrainState:
    """Returns the state from the parts that `checkpoint_items` makes of it."""
    if "params" in rest:
        return TrainState(**rest, averaged_params=final_params)
    return TrainState(**rest, params=final_params)


def with_batches(state: TrainState, batches: int) -> TrainState:
    """Returns the state with another number of batches taken."""
    taken = jax.device_put(np.int32(batches), state.batches.sharding)
    replaced: TrainState = state.replace(batches=taken)  # type: ignore[attr-defined]
    return replaced


def _init_params(rng: Array, config: ExperimentConfig) -> Params:
    """Returns the first parameters, in boxes with the names of their axes."""
    tokens = jnp.zeros((1, 1), jnp.int32)
    params: Params = Transformer(config.model).init(
        rng, tokens, tokens, deterministic=True
    )["params"]
    return params


def _make_state(
    params: Params,
    config: ExperimentConfig,
    optimizer: optax.GradientTransformation,
) -> TrainState:
    """Returns the state before the first update.

    The optimizer knows the parameters that are trained, and no others.
    """
    zero = jnp.zeros((), jnp.int32)
    averaged = None if config.training.ema_decay is None else params
    limited = config.training.max_gradient_ratio is not None
    mean_norm = jnp.zeros(()) if limited else None
    trained, _ = split_params(params, config.training.frozen)
    opt_state = optimizer.init(trained)
    return TrainState(zero, zero, params, opt_state, averaged, mean_norm)


@functools.lru_cache(maxsize=4)
def abstract_state(
    config: ExperimentConfig,
    mesh: Mesh,
    optimizer: optax.GradientTransformation | None = None,
) -> TrainState:
    """Returns shapes, dtypes and shardings of the state, without making any of it.

    The start of a run, its first state and its step ask for the same one: it is traced
    once.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask, or
            `training.frozen` names no part of the model.
    """
    boxed = kept_boxes(config.model)
    optimize = optimizer or make_optimizer(config)
    params = sharding.unbox(boxed)
    state = jax.eval_shape(lambda params: _make_state(params, config, optimize), params)
    shardings = sharding.shardings_like(
        state, params, sharding.shardings_of(boxed, mesh), mesh
    )
    placed: TrainState = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        state,
        shardings,
    )
    return placed


def init_state(
    config: ExperimentConfig,
    mesh: Mesh,
    optimizer: optax.GradientTransformation | None = None,
    params: Params | None = None,
) -> TrainState:
    """Returns the state before the first update, created on the devices that keep it.

    Args:
        optimizer: the one that `make_train_step` gets. None = the paper's Adam.
        params: the parameters to begin with, as those of a `Translator`. None = random
            ones; `training.initial_checkpoint` is of `train` alone.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask, the
            given parameters are those of another model, or `training.frozen` names no
            part of it.

    Example:
        >>> mesh = tj.make_mesh(config.mesh)
        >>> state = tj.init_state(config, mesh)
        >>> int(state.step)
        0
    """
    optimize = optimizer or make_optimizer(config)
    abstract = abstract_state(config, mesh, optimizer)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)

    def make(rng: Array) -> TrainState:
        params = sharding.unbox(_init_params(rng, config))
        return _make_state(params, config, optimize)

    def make_of(params: Params) -> TrainState:
        return _make_state(params, config, optimize)

    state: TrainState
    if params is None:
        rng = make_rng(config.training, "init")
        begin: Callable[[Array], TrainState] = jax.jit(make, out_shardings=shardings)
        if optimizer is None:
            begin = keep_whole(begin, "init_state", program_settings(config), mesh)
        state = begin(rng)
        return state
    misfit = find_misfit(params, kept_shapes(config.model))
    if misfit is not None:
        raise InputError(f"params: {misfit}: give the parameters of this model.")
    params = sharding.place(params, shardings.params)
    state = jax.jit(make_of, out_shardings=shardings)(params)
    return state
