"""What a compiled step keeps in memory at one time."""

import jax
import jax.numpy as jnp
import pytest
from tiny_runs import tiny_config

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.data.batch import Batch
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.training.state import abstract_state
from transformer_jax.training.step import make_train_step

LENGTH = 64


def temporary_bytes(vocab_size: int, rows: int) -> int:
    config = tiny_config(model__vocab_size=vocab_size, training__loss_slice_tokens=128)
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    leaf = jax.ShapeDtypeStruct(
        (rows, LENGTH), jnp.int32, sharding=sharding.batch_sharding(mesh)
    )
    step = make_train_step(config, mesh)
    compiled = step.lower(abstract_state(config, mesh), Batch(*[leaf] * 7)).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_temporaries_do_not_grow_with_the_vocabulary_times_the_tokens():
    """Logits of all of the 1,024 tokens added would be 66 MB, of one slice 8 MB."""

    def growth(vocab_size: int) -> int:
        return temporary_bytes(vocab_size, 32) - temporary_bytes(vocab_size, 16)

    assert growth(16_000) - growth(500) < 16 * LENGTH * 16_000 * 4 / 20
