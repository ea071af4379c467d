"""The state of a run between two updates."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.devices import sharding
from transformer_jax.kernels.random_bits import MURMUR
from transformer_jax.model.params import Params
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
    if state.averaged_params is None:
        return state.params, rest
    return state.averaged_params, {**rest, "params": state.params}


def state_of_items(final_params: Params, rest: dict[str, Any]) -> TrainState:
    """Returns the state from the parts that `checkpoint_items` makes of it."""
    if "params" in rest:
        return TrainState(**rest, averaged_params=final_params)
    return TrainState(**rest, params=final_params)


def _make_state(
    rng: Array,
    config: ExperimentConfig,
    optimizer: optax.GradientTransformation,
) -> TrainState:
    tokens = jnp.zeros((1, 1), jnp.int32)
    model = Transformer(config.model)
    params = model.init(rng, tokens, tokens, deterministic=True)["params"]
    zero = jnp.zeros((), jnp.int32)
    averaged = None if config.training.ema_decay is None else params
    return TrainState(zero, zero, params, optimizer.init(params), averaged)


@functools.lru_cache(maxsize=4)
def abstract_state(config: ExperimentConfig, mesh: Mesh) -> TrainState:
    """Returns shapes, dtypes and shardings of the state, without making any of it.

    The start of a run, its first state and its step ask for the same one: it is traced
    once.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask.
    """
    optimizer = make_optimizer(
        config.optimizer, config.model.d_model, config.training.num_steps
    )
    boxed = jax.eval_shape(
        lambda rng: _make_state(rng, config, optimizer),
        make_rng(config.training, "init"),
    )
    state: TrainState = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        sharding.unbox(boxed),
        sharding.shardings_of(boxed, mesh),
    )
    return state


def init_state(config: ExperimentConfig, mesh: Mesh) -> TrainState:
    """Returns the state before the first update, created on the devices that keep it.

    Raises:
        InputError: a parameter cannot be spread over the mesh as the settings ask.

    Example:
        >>> mesh = tj.make_mesh(config.mesh)
        >>> state = tj.init_state(config, mesh)
        >>> int(state.step)
        0
    """
    optimizer = make_optimizer(
        config.optimizer, config.model.d_model, config.training.num_steps
    )
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))

    def make(rng: Array) -> TrainState:
        state: TrainState = sharding.unbox(_make_state(rng, config, optimizer))
        return state

    rng = make_rng(config.training, "init")
    state: TrainState = jax.jit(make, out_shardings=shardings)(rng)
    return state
