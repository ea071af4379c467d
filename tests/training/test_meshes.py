"""The same updates on every mesh: how devices are arranged is a matter of speed."""

import functools

import jax
import numpy as np
import pytest
from tiny_runs import tiny_config

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.data.batch import make_batch
from transformer_jax.data.corpus import make_corpus
from transformer_jax.data.packing import pack_pairs
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.training.state import init_state
from transformer_jax.training.step import make_train_step

CONFIG = tiny_config(
    model__num_encoder_layers=1, model__num_decoder_layers=1, model__vocab_size=64
)
MESHES = {
    "data": {"data": 8},
    "fsdp": {"fsdp": 8},
    "all three": {"data": 2, "fsdp": 2, "tensor": 2},
}


@functools.cache
def batches():
    """Three batches of 8 rows, several sentences in each row."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 12, (120, 2))
    sides = [
        [[*rng.integers(4, 64, length - 1), 2] for length in column]
        for column in lengths.T
    ]
    corpus = make_corpus(*sides, bos_id=1, pad_id=0)
    packed = pack_pairs(*lengths.T, 24, 24)
    assert packed.num_rows >= 24
    return [make_batch(corpus, packed, np.arange(8 * k, 8 * k + 8)) for k in range(3)]


@functools.cache
def updates(**sizes):
    """Returns losses, gradient norms and the parameters after three updates."""
    num_devices = np.prod(list(sizes.values()), dtype=int)
    mesh = make_mesh(MeshConfig(**sizes), jax.devices()[:num_devices])
    step = make_train_step(CONFIG, mesh)
    state, numbers = init_state(CONFIG, mesh), []
    for batch in batches():
        state, report = step(state, sharding.make_global(batch, mesh))
        numbers.append((report["loss"], report["gradient_norm"]))
    return np.asarray(numbers), jax.device_get(state.params)


@pytest.mark.long
@pytest.mark.parametrize("sizes", MESHES.values(), ids=MESHES)
def test_updates_with_dropout_are_those_of_one_device(sizes):
    assert CONFIG.model.dropout_rate > 0
    one_numbers, one_params = updates(data=1)
    numbers, params = updates(**sizes)
    np.testing.assert_allclose(numbers, one_numbers, rtol=1e-5)
    for one, other in zip(
        jax.tree.leaves(one_params), jax.tree.leaves(params), strict=True
    ):
        # Adam divides by the size of gradients that may be almost nothing.
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-5)
