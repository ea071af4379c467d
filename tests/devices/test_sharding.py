"""What lies where on the mesh."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.experiment import (
    ExperimentConfig,
    MeshConfig,
    OptimizerConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import check_rows, make_mesh
from transformer_jax.errors import InputError
from transformer_jax.training.state import abstract_state, init_state

CONFIG = ExperimentConfig(model=ModelConfig.tiny(positions="learned"))


def test_rows_must_be_shared_evenly():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    check_rows(8, mesh)
    check_rows(8, mesh, 2)
    with pytest.raises(InputError, match=r"= 6 rows must be a multiple of the 4 dev"):
        check_rows(6, mesh)
    with pytest.raises(InputError, match=r"training.accumulation_steps=4"):
        check_rows(8, mesh, 4)


def specs_of(config):
    """Returns `path -> spec` of every array of the state."""
    state = abstract_state(config, make_mesh(config.mesh))
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


def test_parameters_are_spread_over_the_axes_of_the_mesh():
    specs = specs_of(CONFIG.replace(mesh=MeshConfig(fsdp=2, tensor=2)))
    for name in ("query", "key", "value"):
        kernel = spec_of(specs, name, "kernel")
        assert kernel == (None, "fsdp", "tensor", None)  # layers, embed, heads, kv
    assert spec_of(specs, "output/kernel") == (None, "tensor", None, "fsdp")
    assert spec_of(specs, "inner/kernel") == (None, "fsdp", "tensor")
    assert spec_of(specs, "inner/bias") == (None, "tensor")
    assert spec_of(specs, "outer/kernel") == (None, "tensor", "fsdp")
    assert spec_of(specs, "embedding/matrix") == ("tensor", "fsdp")
    assert spec_of(specs, "position/table") == (None, "fsdp")
    # Too small to be worth gathering.
    for ending in ("norm/scale", "norm/bias", "outer/bias"):
        assert not any(spec_of(specs, *ending.split("/")))


@pytest.mark.slow
def test_a_device_keeps_its_part_of_the_state_alone():
    """Born so: nothing larger was ever made."""
    mesh = MeshConfig(data=1, fsdp=4, tensor=2)
    config = ExperimentConfig(model=ModelConfig.tiny(), mesh=mesh)
    state = init_state(config, make_mesh(config.mesh))
    for moments in (state.params, state.opt_state):
        whole = sum(x.size for x in jax.tree.leaves(moments))
        here = sum(x.addressable_shards[0].data.size for x in jax.tree.leaves(moments))
        # Norms and biases are on every device.
        assert whole / 8 <= here < whole / 6


@pytest.mark.parametrize(
    ("mesh", "model", "message"),
    [
        (
            {"tensor": 8},
            {"num_heads": 4},
            "decoder/cross_attention/key/kernel: its axis 'heads' of size 4 "
            "must be a multiple of mesh.tensor=8, over which it is spread: change "
            "either.",
        ),
        (
            {"tensor": 2},
            {"vocab_size": 65},
            "embedding/matrix: its axis 'vocab' of size 65 must be a multiple "
            "of mesh.tensor=2, over which it is spread: change either.",
        ),
        (
            {"fsdp": 8},
            {"d_model": 36},
            "decoder/cross_attention/key/kernel: its axis 'embed' of size 36 "
            "must be a multiple of mesh.fsdp=8, over which it is spread: change "
            "either.",
        ),
    ],
)
def test_sizes_that_cannot_be_spread_are_refused(mesh, model, message):
    config = ExperimentConfig(model=ModelConfig.tiny(**model), mesh=MeshConfig(**mesh))
    with pytest.raises(InputError) as caught:
        abstract_state(config, make_mesh(config.mesh))
    assert str(caught.value) == message


def test_axes_without_a_rule_are_refused():
    boxed = {
        "a": {"b": nn.LogicallyPartitioned(jnp.ones((2, 3)), ("embed", "experts"))}
    }
    with pytest.raises(InputError, match=r"^a/b: its axis 'experts' has no rule in"):
        sharding.shardings_of(boxed, make_mesh(MeshConfig()))


@pytest.mark.parametrize(
    ("names", "spec"),
    [
        # The rows have taken `fsdp`, so the width of an activation stays whole.
        (("batch", "length", "embed"), (("data", "fsdp"),)),
        (("batch", "length", "mlp"), (("data", "fsdp"), None, "tensor")),
        (("batch", "heads", "length", "kv"), (("data", "fsdp"), "tensor")),
    ],
)
def test_activations_are_laid_out_by_the_rules(names, spec):
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    x = np.zeros((8, 4, 4, 4)[: len(names)], np.float32)
    x = jax.device_put(x, sharding.replicated_sharding(mesh))

    def placed(x):
        return nn.with_logical_constraint(2 * x, names)

    @jax.jit
    def inside(x):
        with sharding.activation_layout(mesh):
            return jax.lax.scan(lambda c, _: (placed(c), None), x, length=2)[0]

    assert tuple(inside(x).sharding.spec) == spec
    assert jax.jit(placed)(x).sharding.is_fully_replicated, "without a mesh"


def test_a_kernel_finds_the_mesh_and_its_rows():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))

    def kernel(x):
        assert x.shape == (2, 3, 2)
        return x + jax.lax.axis_index(("data", "fsdp", "tensor"))

    @functools.partial(jax.jit, in_shardings=sharding.replicated_sharding(mesh))
    def run(x):
        with sharding.activation_layout(mesh):
            assert not jax.sharding.get_abstract_mesh().empty
            spec = nn.logical_to_mesh_axes(("batch", "length", "heads"))
            return jax.shard_map(kernel, in_specs=spec, out_specs=spec)(x)

    result = run(np.zeros((8, 3, 4), np.int32))
    np.testing.assert_array_equal(result[::2, 0, ::2].flatten(), np.arange(8))
    assert jax.sharding.get_abstract_mesh().empty


def test_moments_of_adam_lie_where_their_parameters_lie():
    clipped = OptimizerConfig(max_gradient_norm=1.0)
    specs = specs_of(
        CONFIG.replace(mesh=MeshConfig(fsdp=4, tensor=2), optimizer=clipped)
    )
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


def test_batches_are_spread_by_rows_over_data_and_fsdp():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    rows = np.arange(8 * 3).reshape(8, 3)
    result = sharding.make_global({"source": rows}, mesh)["source"]
    np.testing.assert_array_equal(result, rows)
    shards = {(s.index[0].start, s.index[0].stop) for s in result.addressable_shards}
    assert shards == {(0, 2), (2, 4), (4, 6), (6, 8)}
    # Both devices of a tensor-parallel pair hold the same rows.
    assert all(shard.data.shape == (2, 3) for shard in result.addressable_shards)
    whole = jax.device_put(rows, sharding.replicated_sharding(mesh))
    assert all(shard.data.shape == (8, 3) for shard in whole.addressable_shards)


@pytest.mark.parametrize("rows", [9, 4, 0])
def test_rows_that_devices_cannot_share_are_refused(rows):
    expected = rf"^{rows} rows cannot be spread equally: .* multiple of 8\.$"
    with pytest.raises(InputError, match=expected):
        sharding.make_global(np.ones((rows, 3)), make_mesh(MeshConfig()))


def test_every_logical_axis_has_a_rule():
    from transformer_jax import axes

    names = {value for name, value in vars(axes).items() if name.isupper()}
    assert {name for name, _ in sharding.RULES} == names


def test_unboxing_leaves_plain_arrays():
    boxed = {"a": nn.LogicallyPartitioned(jnp.ones(3), ("embed",)), "b": jnp.ones(2)}
    plain = sharding.unbox(boxed)
    assert jax.tree.map(jnp.shape, plain) == {"a": (3,), "b": (2,)}
