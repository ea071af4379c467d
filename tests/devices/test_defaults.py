"""Settings of None that the hardware decides, here on CPUs."""

import ast
import dataclasses

import pytest
from test_layering import TREES

from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.config.reading import differences
from transformer_jax.devices.defaults import (
    decide_defaults,
    decide_model,
    decoding_batch_tokens,
    decoding_dtypes,
    loss_slice_tokens,
)
from transformer_jax.devices.mesh import make_mesh

DECIDED = {
    "model.scan_unroll",
    "model.attention_kernel",
    "training.loss_slice_tokens",
    "decoding.batch_tokens",
    "decoding.compute_dtype",
}


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig())


def test_only_what_is_none_is_decided(mesh):
    config = ExperimentConfig()
    decided = decide_defaults(config, mesh)
    assert sorted(differences(config, decided)) == [
        "decoding.batch_tokens: None -> 2048",
        "decoding.compute_dtype: None -> 'float32'",
        "model.attention_kernel: None -> 'xla'",
        "model.scan_unroll: None -> 1",
        "training.loss_slice_tokens: None -> 2048",
    ]
    assert decide_defaults(decided, mesh) == decided
    by_hand = ExperimentConfig(
        model=ModelConfig(scan_unroll=3, attention_kernel="cudnn"),
        training=dataclasses.replace(config.training, loss_slice_tokens=64),
        decoding=config.decoding.replace(batch_tokens=100, compute_dtype="bfloat16"),
    )
    assert decide_defaults(by_hand, mesh) == by_hand


def test_each_decision_by_itself_is_that_of_all(mesh):
    for config in (ExperimentConfig(), ExperimentConfig(model=ModelConfig.tiny())):
        decided = decide_defaults(config, mesh)
        assert decide_model(config.model, mesh) == decided.model
        tokens = loss_slice_tokens(config.training, mesh)
        assert tokens == decided.training.loss_slice_tokens
        tokens = decoding_batch_tokens(config.decoding, mesh)
        assert tokens == decided.decoding.batch_tokens


def test_few_layers_are_unrolled_on_cpus(mesh):
    for layers, unroll in ((4, 4), (5, 1)):
        model = ModelConfig(num_encoder_layers=1, num_decoder_layers=layers)
        assert decide_model(model, mesh).scan_unroll == unroll


@pytest.mark.parametrize("asked", [None, "float32", "bfloat16"])
@pytest.mark.parametrize("trained", ["float32", "bfloat16"])
def test_only_products_with_weights_are_bfloat16_on_cpus(asked, trained, mesh):
    model = ModelConfig(compute_dtype=trained)
    settings = ExperimentConfig().decoding.replace(compute_dtype=asked)
    assert decoding_dtypes(model, settings, mesh) == (asked or trained, "float32")


def test_nowhere_else_is_a_default_filled_in():
    """`settings.batch_tokens or 2_048` outside of this file would be a second rule."""
    names = {setting.split(".")[1] for setting in DECIDED}
    for module, tree in TREES.items():
        if module in ("devices.defaults", "model.stack"):
            continue  # Without a mesh, a model is not unrolled.
        for node in ast.walk(tree):
            if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
                filled = {getattr(value, "attr", None) for value in node.values[:-1]}
                assert not filled & names, f"{module}, line {node.lineno}"
