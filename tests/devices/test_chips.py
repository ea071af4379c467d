"""Data sheets, found by what JAX calls the devices."""

from types import SimpleNamespace

import pytest

from transformer_jax.devices.chips import chip_of


@pytest.mark.parametrize(
    ("kind", "name", "teraflops"),
    [
        ("NVIDIA H200", "H200", 989),
        ("NVIDIA H100 80GB HBM3", "H100", 989),
        ("NVIDIA H100 PCIe", "H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB", 312),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB", 312),
        ("NVIDIA GH200 480GB", "GH200", 989),
        ("NVIDIA L4", "L4", 121),
        ("NVIDIA L40S", "L40S", 362),
        ("TPU v5 lite", "TPU v5e", 197),
        ("TPU v6 lite", "TPU v6e", 918),
    ],
)
def test_chips_are_known_by_what_they_call_themselves(kind, name, teraflops):
    platform = "tpu" if kind.startswith("TPU") else "gpu"
    found = chip_of(SimpleNamespace(platform=platform, device_kind=kind))
    assert found.name == name
    assert found.peak_flops("bfloat16") == teraflops * 1e12


@pytest.mark.parametrize("kind", ["NVIDIA GeForce GTX 1080", "NVIDIA L400", "cpu"])
def test_a_chip_that_is_not_known(kind):
    assert chip_of(SimpleNamespace(platform="gpu", device_kind=kind)) is None
