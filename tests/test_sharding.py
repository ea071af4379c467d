"""The mesh, and what lies where on it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax import sharding
from transformer_jax.config import (
    ExperimentConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
)
from transformer_jax.errors import InputError
from transformer_jax.training.state import abstract_state

CONFIG = ExperimentConfig(model=ModelConfig.tiny(positions="learned"))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (8, 1)),
        ({"model": 4}, (2, 4)),
        ({"data": 2, "model": 4}, (2, 4)),
        ({"data": 1, "model": 8}, (1, 8)),
    ],
)
def test_devices_are_arranged_as_the_settings_ask(settings, shape):
    mesh = sharding.make_mesh(MeshConfig(**settings))
    assert (mesh.axis_names, mesh.devices.shape) == (("data", "model"), shape)
    assert set(mesh.devices.flat) == set(jax.devices())


@pytest.mark.parametrize(
    ("settings", "num_devices"),
    [({"model": 3}, 8), ({"data": 3}, 8), ({"model": 16}, 8), ({"data": 8}, 4)],
)
def test_devices_that_cannot_be_arranged_are_refused(settings, num_devices):
    config = MeshConfig(**settings)
    with pytest.raises(InputError) as caught:
        sharding.make_mesh(config, jax.devices()[:num_devices])
    message = str(caught.value)
    for part in (
        f"mesh.data={config.data}", f"mesh.model={config.model}", str(num_devices)
    ):  # fmt: skip
        assert part in message


def test_rows_must_be_shared_evenly():
    mesh = sharding.make_mesh(MeshConfig(model=2))
    sharding.check_rows(8, mesh)
    with pytest.raises(InputError, match=r"= 6 rows must be a multiple of the 4 dev"):
        sharding.check_rows(6, mesh)


def specs_of(config):
    """Returns `path -> spec` of every array of the state."""
    state = abstract_state(config, sharding.make_mesh(config.mesh))
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.sharding.spec
        for path, leaf in leaves
    }


def spec_of(specs, *parts):
    """The one spec of the parameter whose path ends so."""
    ending = "/".join(parts)
    (spec,) = {
        tuple(spec) for path, spec in specs.items()
        if path.startswith("params/") and path.endswith(ending)
    }  # fmt: skip
    return spec


def test_heads_feed_forward_and_vocabulary_are_spread_over_the_model_axis():
    specs = specs_of(CONFIG.replace(mesh=MeshConfig(model=4)))
    for name in ("query", "key", "value"):
        kernel = spec_of(specs, name, "kernel")
        assert kernel == (None, None, "model", None)  # layers, embed, heads, kv
    assert spec_of(specs, "output/kernel") == (None, "model", None, None)
    assert spec_of(specs, "inner/kernel") == (None, None, "model")
    assert spec_of(specs, "inner/bias") == (None, "model")
    assert spec_of(specs, "outer/kernel") == (None, "model", None)
    assert spec_of(specs, "embedding/matrix") == ("model", None)
    # What every device needs whole.
    for ending in ("outer/bias", "norm/scale", "norm/bias", "position/table"):
        assert "model" not in spec_of(specs, *ending.split("/"))


def test_moments_of_adam_lie_where_their_parameters_lie():
    clipped = OptimizerConfig(max_gradient_norm=1.0)
    specs = specs_of(CONFIG.replace(mesh=MeshConfig(model=4), optimizer=clipped))
    params = {
        path.removeprefix("params/"): spec
        for path, spec in specs.items()
        if path.startswith("params/")
    }
    for moment in ("mu", "nu"):
        moments = {
            path.split(f"/{moment}/")[1]: spec
            for path, spec in specs.items()
            if f"/{moment}/" in path
        }
        assert moments == params


def test_batches_are_spread_by_rows_over_the_data_axis():
    mesh = sharding.make_mesh(MeshConfig(data=4, model=2))
    rows = np.arange(8 * 3).reshape(8, 3)
    result = sharding.make_global({"source": rows}, mesh)["source"]
    np.testing.assert_array_equal(result, rows)
    shards = {(s.index[0].start, s.index[0].stop) for s in result.addressable_shards}
    assert shards == {(0, 2), (2, 4), (4, 6), (6, 8)}
    # Both devices of a model-parallel pair hold the same rows.
    assert all(shard.data.shape == (2, 3) for shard in result.addressable_shards)
    whole = jax.device_put(rows, sharding.replicated(mesh))
    assert all(shard.data.shape == (8, 3) for shard in whole.addressable_shards)


def test_every_logical_axis_has_a_rule():
    from transformer_jax import axes

    names = {value for name, value in vars(axes).items() if name.isupper()}
    assert {name for name, _ in sharding.RULES} == names


def test_unboxing_leaves_plain_arrays():
    boxed = {"a": nn.LogicallyPartitioned(jnp.ones(3), ("embed",)), "b": jnp.ones(2)}
    plain = sharding.unboxed(boxed)
    assert jax.tree.map(jnp.shape, plain) == {"a": (3,), "b": (2,)}


def test_a_function_runs_on_each_device_s_rows_alone():
    mesh = sharding.make_mesh(MeshConfig(data=4, model=2))
    rows = jnp.arange(8.0)[:, None]

    def minus_own_mean(params, rows):
        assert rows.shape == (2, 1)
        return params * (rows - rows.mean())

    run = jax.jit(sharding.on_own_rows(minus_own_mean, mesh))
    result = run(jnp.float32(2.0), rows)
    np.testing.assert_array_equal(result[:, 0], [-1, 1] * 4)
