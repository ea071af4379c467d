"""Programs with collectives that could run side by side on the CPU devices do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import trained_run

import transformer_jax as tj
from transformer_jax.data.batch import Batch
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.evaluation.corpus_loss import sum_losses
from transformer_jax.scoring import teacher_forcing


@jax.jit
def slow(value):
    def multiply(_, matrix):
        return jnp.tanh(matrix @ matrix)

    matrix = jax.lax.fori_loop(0, 100, multiply, jnp.full((400, 400), value))
    return 1 + 0 * matrix[0, 0]


class Watched:
    """A program that takes a while; notes whether the ones before it had ended."""

    def __init__(self):
        self.results = []
        self.were_ready = []

    def __call__(self, params, batch):
        del params, batch
        self.were_ready += [result.is_ready() for result in self.results]
        self.results.append(slow(jnp.float32(1)))
        return self.results[-1]


@pytest.fixture
def mesh():
    mesh = make_mesh(tj.MeshConfig())
    assert mesh.size > 1
    return mesh


def test_jax_does_not_wait_for_the_program_by_itself():
    slow(jnp.float32(1))  # Compiles.
    assert not slow(jnp.float32(1)).is_ready()


def test_losses_of_batches(mesh):
    program = Watched()
    batch = Batch(*7 * [np.ones((mesh.size, 4), np.int32)])
    sums = sum_losses(lambda *each: {"loss": program(*each)}, None, [batch] * 4, mesh)
    assert sums == {"loss": 4.0}
    assert program.were_ready == [True] * 6


def test_scores_of_an_ensemble():
    workdir = trained_run().workdir
    translator = tj.Translator.from_checkpoint(workdir, ensemble=[(workdir, "latest")])
    assert translator.mesh.size > 1
    program = Watched()
    ids = [[5, 6, 3]] * 20
    found = teacher_forcing.run_on_pairs(
        translator,
        teacher_forcing.corpus_from_tokens(translator, ids, ids),
        lambda config: program,
        translator.config.decoding.replace(batch_tokens=1),
    )
    assert len(list(found)) > 1
    assert len(program.results) >= 4
    assert all(program.were_ready)
