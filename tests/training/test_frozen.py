"""Parts of the model that stay fixed, in every kind of update."""

import jax
import numpy as np
import pytest
from test_step import batch_of
from tiny_runs import one_layer_config

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.model.parts import merge_params, split_params
from transformer_jax.model.size import abstract_params, shapes_of
from transformer_jax.training.state import abstract_state, init_state
from transformer_jax.training.step import make_train_step

pytestmark = pytest.mark.slow

FROZEN = ("embedding", "decoder/cross_attention", "decoder/feed_forward/inner/bias")
ALL_OF_IT = {
    "model__share_embeddings": "none",
    "model__norm": "pre",
    "training__frozen": FROZEN,
    "training__ema_decay": 0.5,
    "training__accumulation_steps": 2,
    "training__max_gradient_ratio": 9.0,
    "optimizer__max_gradient_norm": 0.1,
}


def is_frozen(path: str) -> bool:
    """Whether a parameter is in FROZEN, told by its name alone."""
    return "_embedding/" in path or f"{path}/".startswith(
        ("decoder/cross_attention/", "decoder/feed_forward/inner/bias/")
    )


def leaves(tree) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.fixture(scope="module")
def updated():
    """Parameters with zeros of both signs, and the state after two updates."""
    config = one_layer_config(**ALL_OF_IT)
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    given = jax.tree.map(np.array, init_state(config, mesh).params)
    for leaf in jax.tree.leaves(given):
        leaf.flat[:2] = 0.0, -0.0
    state, step = init_state(config, mesh, params=given), make_train_step(config, mesh)
    for number in range(2):
        batch = sharding.make_global(batch_of(number, first=5), mesh)
        state, report = step(state, batch)
        assert report["skipped"] == 0
    return leaves(given), state, report


@pytest.mark.parametrize("of", ["params", "averaged_params"])
def test_frozen_parts_are_the_same_to_the_bit(updated, of):
    """The sign of a zero included, which adding 0 would take away."""
    before, state, _ = updated
    after = leaves(getattr(state, of))
    assert after.keys() == before.keys()
    for name, value in after.items():
        same = np.array_equal(value.view(np.uint32), before[name].view(np.uint32))
        assert same == is_frozen(name), name


def test_nothing_is_kept_for_frozen_parts(updated):
    before, state, _ = updated
    moments = [name for name in leaves(state.opt_state) if "/mu/" in name]
    found = {name.partition("/mu/")[2] for name in moments}
    assert found == {name for name in before if not is_frozen(name)}
    assert len(leaves(state.opt_state)) == 2 * len(found) + 2  # two counts of updates


def test_no_gradient_is_computed_for_frozen_parts():
    """With the encoder below them frozen too, the backward pass ends in the decoder."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    flops = {}
    for frozen in ((), ("embedding", "encoder")):
        config = one_layer_config(training__frozen=frozen, model__vocab_size=64)
        step = make_train_step(config, mesh)
        batch = sharding.make_global(batch_of(0, first=5), mesh)
        compiled = step.lower(abstract_state(config, mesh), batch).compile()
        flops[frozen] = compiled.cost_analysis()["flops"]
    assert flops["embedding", "encoder"] < 0.8 * flops[()]


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("share", ["all", "target", "none"])
def test_three_parts_are_the_whole(norm, share):
    """Each parameter of any model is in one of them, and in no other."""
    model = ModelConfig.tiny(
        norm=norm, share_embeddings=share, positions="learned", max_length=8
    )
    params, found = abstract_params(model), []
    for part in ("embedding", "encoder", "decoder"):
        trained, fixed = split_params(params, (part,))
        assert merge_params(trained, fixed) == params
        found += shapes_of(fixed)
    assert sorted(found) == sorted(shapes_of(params))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("encodr", "did you mean 'encoder'"),
        ("decoder/cross_atention", "did you mean 'decoder/cross_attention'"),
        ("decoder/", "did you mean 'decoder'"),
        ("encoder/cross_attention", "did you mean 'decoder/cross_attention'"),
        ("17", "expected embedding, encoder, decoder, or a path"),
        ("", "expected embedding, encoder, decoder, or a path"),
    ],
)
def test_an_unknown_part_is_refused_with_the_nearest(name, hint):
    params = abstract_params(ModelConfig.tiny())
    with pytest.raises(InputError, match=rf"training\.frozen='{name}' is no .*{hint}"):
        split_params(params, (name,))
    with pytest.raises(InputError, match="must be a list, each item a string"):
        one_layer_config(training__frozen="encoder")


def test_given_parameters_must_be_those_of_the_model():
    config, mesh = one_layer_config(), make_mesh(MeshConfig(), jax.devices()[:1])
    other = abstract_params(one_layer_config(model__d_ff=8).model)
    with pytest.raises(InputError, match=r"params: the parameter .* has the shape"):
        init_state(config, mesh, params=other)
