"""What a process frees stays with it, where that is a matter of speed."""

import subprocess
import sys

import pytest

from transformer_jax.devices.host_memory import keep_freed_memory

PROGRAM = """
import resource, sys
if sys.argv[1] == "kept":
    from transformer_jax.devices.host_memory import keep_freed_memory
    assert keep_freed_memory()
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(8_000_000)  # 64 MB, which is 15,600 pages.
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

np.ones(8_000_000)
print(faults())
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc, or an accelerator")
def test_memory_is_not_cleared_again_for_every_array():
    faults = {
        mode: int(subprocess.check_output([sys.executable, "-c", PROGRAM, mode]))
        for mode in ("kept", "returned")
    }
    assert faults["kept"] < 1_000 < faults["returned"]
