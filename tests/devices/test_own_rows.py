"""Functions that every device runs on its own rows alone."""

import jax
import jax.numpy as jnp
import numpy as np

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.own_rows import make_own_rows, on_own_rows, rows_to_read


def test_a_function_runs_on_each_device_s_rows_alone():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2))
    rows = jnp.arange(16.0)[:, None]

    def minus_own_mean(params, rows):
        assert rows.shape == (2, 1)
        return params * (rows - rows.mean())

    run = jax.jit(on_own_rows(minus_own_mean, mesh))
    result = run(jnp.float32(2.0), rows)
    np.testing.assert_array_equal(result[:, 0], [-1, 1] * 8)


def test_one_process_reads_results_that_no_device_has_gathered():
    """What gathers on CPUs may not run beside another such program."""
    mesh = make_mesh(MeshConfig(data=4, fsdp=2))
    run = jax.jit(
        on_own_rows(lambda params, rows: params + rows.sum(axis=1), mesh),
        out_shardings=rows_to_read(mesh),
    )
    rows = make_own_rows(np.arange(32.0).reshape(16, 2), mesh)
    compiled = run.lower(1.0, rows).compile()
    assert "all-gather" not in compiled.as_text()
    np.testing.assert_array_equal(compiled(1.0, rows), np.arange(16) * 4.0 + 2)
