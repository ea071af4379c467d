"""How devices are arranged, attached ones and TPUs that are not here."""

import os

import jax
import numpy as np
import pytest

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (8, 1, 1)),
        ({"tensor": 4}, (2, 1, 4)),
        ({"fsdp": 2, "tensor": 2}, (2, 2, 2)),
        ({"data": 1}, (1, 8, 1)),
        ({"data": 2}, (2, 4, 1)),
        ({"data": 2, "tensor": 2}, (2, 2, 2)),
        ({"data": 1, "fsdp": 1}, (1, 1, 8)),
        ({"data": 1, "fsdp": 4, "tensor": 2}, (1, 4, 2)),
    ],
)
def test_devices_are_arranged_as_the_settings_ask(settings, shape):
    mesh = make_mesh(MeshConfig(**settings))
    assert (mesh.axis_names, mesh.devices.shape) == (("data", "fsdp", "tensor"), shape)
    assert set(mesh.devices.flat) == set(jax.devices())


@pytest.mark.parametrize(
    ("settings", "num_devices", "message"),
    [
        ({"tensor": 3}, 8, "mesh.tensor=3 must divide the number of devices, 8."),
        ({"fsdp": 16}, 8, "mesh.fsdp=16 must divide the number of devices, 8."),
        (
            {"data": 2, "tensor": 3},
            8,
            "mesh.data=2 times mesh.tensor=3 must divide the number of devices, 8.",
        ),
        (
            {"data": 2, "fsdp": 2, "tensor": 2},
            4,
            "mesh.data=2 times mesh.fsdp=2 times mesh.tensor=2 must be the number of "
            "devices, 4.",
        ),
    ],
)
def test_devices_that_cannot_be_arranged_are_refused(settings, num_devices, message):
    with pytest.raises(InputError) as caught:
        make_mesh(MeshConfig(**settings), jax.devices()[:num_devices])
    of_cpu = "; JAX_NUM_CPU_DEVICES sets how many a CPU is shown as."
    assert str(caught.value) == message.removesuffix(".") + of_cpu


def tpus(topology, **options):
    """Devices of TPUs that are not here."""
    pytest.importorskip("libtpu", reason="TPU topologies need the extra `tpu`")
    # Other processes of this machine may use it too, and no server is to be asked.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    from jax.experimental import topologies

    return topologies.get_topology_desc(
        platform="tpu", topology_name=topology, **options
    ).devices


def test_only_data_crosses_from_slice_to_slice():
    devices = tpus("v5e:2x2", num_slices=2)
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=2), devices)
    slices = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    assert slices.tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    with pytest.raises(InputError) as caught:
        make_mesh(MeshConfig(fsdp=8), devices)
    assert str(caught.value) == (
        "mesh.data=1 must be a multiple of the 2 slices, as mesh.fsdp and mesh.tensor "
        "stay within one."
    )


def test_neighbours_in_the_mesh_are_neighbours_in_a_slice():
    """The ring of 16 goes round the torus; in the order of ids it would jump."""
    mesh = make_mesh(MeshConfig(), tpus("v5e:4x4"))
    ring = [device.coords for device in mesh.devices.flat]
    for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
        assert np.abs(np.subtract(one, other)).sum() == 1


def test_devices_without_a_place_in_the_network_are_refused():
    with pytest.raises(InputError, match=r"as mesh.data=16, .*megacore"):
        make_mesh(MeshConfig(), tpus("v4:2x2x2"))
