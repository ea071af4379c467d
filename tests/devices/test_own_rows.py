"""Functions that every device runs on its own rows alone."""

import jax
import jax.numpy as jnp
import numpy as np

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.own_rows import on_own_rows


def test_a_function_runs_on_each_device_s_rows_alone():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    rows = jnp.arange(16.0)[:, None]

    def minus_own_mean(params, rows):
        assert rows.shape == (2, 1)
        return params * (rows - rows.mean())

    run = jax.jit(on_own_rows(minus_own_mean, mesh))
    result = run(jnp.float32(2.0), rows)
    np.testing.assert_array_equal(result[:, 0], [-1, 1] * 8)
