"""Environment variables that JAX cannot read: known when it is imported."""

import os
import subprocess
import sys


def test_a_number_of_devices_that_is_none():
    ended = subprocess.run(
        [sys.executable, "-m", "transformer_jax", "bench", "multi30k_en_de"],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "abc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert 'Invalid value "abc" for JAX flag jax_num_cpu_devices' in line
    assert "unset the environment variable" in line
    assert ended.stdout == ""
