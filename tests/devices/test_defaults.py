"""Settings of None that the hardware decides, here on CPUs."""

import dataclasses

from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.reading import differences
from transformer_jax.devices.defaults import decoding_batch_tokens, for_platform
from transformer_jax.devices.mesh import make_mesh


def test_only_what_is_none_is_decided():
    config, mesh = ExperimentConfig(), make_mesh(MeshConfig())
    decided = for_platform(config, mesh)
    assert sorted(differences(config, decided)) == [
        "decoding.batch_tokens: None -> 2048",
        "model.attention_kernel: None -> 'xla'",
        "model.scan_unroll: None -> 1",
        "training.loss_slice_tokens: None -> 2048",
    ]
    assert for_platform(decided, mesh) == decided
    by_hand = decided.replace(
        training=dataclasses.replace(decided.training, loss_slice_tokens=64),
        decoding=decided.decoding.replace(batch_tokens=100),
    )
    assert for_platform(by_hand, mesh) == by_hand
    assert decoding_batch_tokens(by_hand.decoding, mesh) == 100
