"""Least times, against sums by hand."""

from types import SimpleNamespace

import pytest

from transformer_jax.cost.hlo.collectives import Collective
from transformer_jax.cost.hlo.cost import OperationCost, ProgramCost
from transformer_jax.cost.roofline import roofline_seconds
from transformer_jax.devices.chips import Chip

CHIP = Chip(
    name="round numbers",
    bfloat16_flops=100.0,
    float32_flops=50.0,
    memory_bytes=1_000,
    memory_bandwidth=10.0,
    network_bandwidth=4.0,
    network_dimensions=2,
    slice_bandwidth=1.0,
)


def device(x, y, slice_index=0):
    return SimpleNamespace(coords=(x, y, 0), slice_index=slice_index)


GRID = [device(x, y) for x in range(2) for y in range(2)]


def seconds(kind, operand, result, groups, devices=GRID, times=1):
    collective = Collective(kind, operand, result, groups, times, "")
    cost = ProgramCost((), (collective,))
    return roofline_seconds(cost, CHIP, devices, "bfloat16")


def test_compute_and_memory():
    operation = OperationCost(
        name="", opcode="", op_name="", result="", times=1,
        flops=900.0, matmul_flops=500.0, bytes_accessed=70, main_memory_bytes=40,
    )  # fmt: skip
    cost = ProgramCost((operation,), ())
    found = roofline_seconds(cost, CHIP, GRID, "bfloat16")
    assert found == {"compute": 5.0, "memory": 4.0, "network": 0.0}
    assert roofline_seconds(cost, CHIP, GRID, "float32")["compute"] == 10.0


@pytest.mark.parametrize(
    ("kind", "operand", "result", "moved"),
    [
        ("all-gather", 8, 16, 8),  # The other half comes in.
        ("reduce-scatter", 16, 8, 8),
        ("all-reduce", 16, 16, 16),  # One after the other.
        ("all-to-all", 16, 16, 8),  # Half stays.
    ],
)
def test_a_ring_of_two_chips_uses_the_links_of_one_dimension(
    kind, operand, result, moved
):
    assert seconds(kind, operand, result, ((0, 1), (2, 3)))["network"] == moved / 2
    more = seconds(kind, operand, result, ((0, 1), (2, 3)), times=3)
    assert more["network"] == 3 * moved / 2


def test_a_group_over_both_dimensions_uses_all_links():
    found = seconds("all-reduce", 16, 16, ((0, 1, 2, 3),))
    assert found["network"] == 2 * 16 * 3 / 4 / 4
    assert seconds("all-reduce", 16, 16, ()) == found  # No groups are one of all.
    assert seconds("all-reduce", 16, 16, ((0,), (1,), (2,), (3,)))["network"] == 0


def test_neighbours_send_over_one_dimension():
    assert seconds("collective-permute", 8, 8, ((0, 1), (1, 0)))["network"] == 4.0


def test_slices_exchange_what_is_left_to_each_chip():
    devices = [*GRID, *(device(x, y, 1) for x in range(2) for y in range(2))]
    found = seconds("all-reduce", 16, 16, (tuple(range(8)),), devices)
    assert found["network"] == 2 * 16 * 3 / 4 / 4
    assert found["slice_network"] == 2 * (16 / 4) / 2 / 1
    # What the compiler splits into a part of each slice and one between them.
    between = seconds("slices-all-reduce", 4, 4, (), devices)
    assert between == {**found, "network": 0.0}
    within = seconds("all-reduce", 16, 16, ((0, 1, 2, 3), (4, 5, 6, 7)), devices)
    assert within["slice_network"] == 0
