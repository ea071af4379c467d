"""Topologies of TPU slices that are not attached."""

import importlib.util

import pytest

from transformer_jax.cost.topology import topology_devices

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu, the compiler for TPUs, is not installed",
)


def test_devices_of_topologies():
    assert len(topology_devices("v4:2x2x2")) == 8  # Both cores of a chip are one.
    two_slices = topology_devices("v5e:2x2", num_slices=2)
    assert [device.slice_index for device in two_slices] == 4 * [0] + 4 * [1]
