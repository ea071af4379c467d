"""Processes of one run that agree, or fail together."""

import pytest
from processes import answers, start

AGREEMENT = """
import numpy as np
from jax.experimental import multihost_utils
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices import agreement, sharding
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.errors import InputError
told, order = [], []
def note(call, *arguments):
    try:
        call(*arguments)
        told.append(None)
    except Exception as error:
        told.append(f"{type(error).__name__}: {error}")

def first(failing):
    with agreement.primary_first("a block"):
        order.append(rank)
        if rank == failing:
            raise OSError("the disk is full")

note(agreement.require_agreement, "settings", {"a": "1", "b": "x" * 5000})
mine = {"a": "1", "seed": str(rank), f"only {rank}": "y"}
note(agreement.require_agreement, "settings", mine)
for failing in (None, 0, 1):
    note(first, failing)
rows = {}
for name, sizes in {"data": {}, "tensor": {"data": 1, "fsdp": 1}}.items():
    mesh = make_mesh(MeshConfig(**sizes))
    rows[name] = sharding.rows_of_host(8 * 2, mesh)
# As on a TPU slice, where the devices of a host are not neighbours in the mesh.
devices = [jax.devices()[i] for i in (0, 1, 4, 5, 6, 2, 7, 3)]
mixed = make_mesh(MeshConfig(), devices)
rows["mixed"] = mine = sharding.rows_of_host(8 * 2, mixed)
placed = sharding.make_global(mine[:, None] * np.ones((1, 3), np.int32), mixed)
whole = multihost_utils.process_allgather(placed, tiled=True)
answer({
    "told": told, "order": order, "rows": jax.tree.map(np.ndarray.tolist, rows),
    "whole": whole.tolist(),
    "clock": agreement.same_on_all_hosts(float(rank + 7)),
    "primary": distributed.is_primary(),
})
"""


@pytest.mark.slow
def test_processes_agree_or_fail_together():
    found = answers(AGREEMENT, num_processes=2, num_devices=4)
    differ = (
        "InputError: the processes of this job do not agree: only 0 is y in "
        "process 0 and None in process 1; only 1 is None in process 0 and y in process "
        "1; seed is 0 in process 0 and 1 in process 1. Start all with the same "
        "settings."
    )
    failed = (
        "OSError: the disk is full",
        "InputError: process {} failed: the disk is full",
    )
    assert found[0]["told"] == [None, differ, None, failed[0], failed[1].format(1)]
    assert found[1]["told"] == [None, differ, None, failed[1].format(0), failed[0]]
    # Where the primary fails the others do not begin.
    assert (found[0]["order"], found[1]["order"]) == ([0, 0, 0], [1, 1])
    assert [each["rows"]["data"] for each in found] == [
        list(range(8)),
        list(range(8, 16)),
    ]
    assert [each["rows"]["tensor"] for each in found] == [list(range(16))] * 2
    mixed = [0, 1, 2, 3, 10, 11, 14, 15], [4, 5, 6, 7, 8, 9, 12, 13]
    assert tuple(each["rows"]["mixed"] for each in found) == mixed
    for each in found:
        assert each["whole"] == [[row] * 3 for row in range(16)]
    assert [(each["clock"], each["primary"]) for each in found] == [
        (7.0, True),
        (7.0, False),
    ]


@pytest.mark.slow
def test_a_process_that_fails_alone_does_not_leave_the_others_waiting():
    program = """
from jax.experimental import multihost_utils
multihost_utils.sync_global_devices("all are here")
if rank == 1:
    raise OSError("the disk is full")
multihost_utils.sync_global_devices("never")
"""
    ended = start(program, num_processes=2, num_devices=1, timeout=300)
    assert all(process.returncode for process in ended)
    assert "the disk is full" in ended[1].stderr
    assert "another task died" in ended[0].stderr
