"""Meshes that are worth comparing."""

import dataclasses

from transformer_jax.cost.comparison import mesh_candidates


def test_candidates_use_every_device_and_keep_slices_whole():
    for num_devices, num_slices in ((1, 1), (4, 1), (256, 1), (32, 2)):
        found = [
            dataclasses.astuple(m) for m in mesh_candidates(num_devices, num_slices)
        ]
        assert len(found) == len(set(found)) <= 6
        for data, fsdp, tensor in found:
            assert data * fsdp * tensor == num_devices
            assert data % num_slices == 0
    assert (256, 1, 1) in [dataclasses.astuple(m) for m in mesh_candidates(256)]
