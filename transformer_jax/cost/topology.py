"""The topologies of TPU slices, which need not be attached."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import jax

from transformer_jax.devices.chips import Chip, chip_of
from transformer_jax.devices.tpu_compiler import quieten
from transformer_jax.errors import InputError

_ALIASES = {"v5litepod": "v5e", "v5lite": "v5e", "v7x": "tpu7x"}
_EXAMPLES = "a name as v5e:4x4, v6e:16x16, v4:2x2x2, v5p:4x4x8, tpu7x:2x2x1"


def topology_devices(topology: str, num_slices: int = 1) -> list[jax.Device]:
    """Returns the devices of a TPU topology that need not be attached.

    Raises:
        InputError: the compiler for TPUs is not installed, or knows no such topology.
    """
    if num_slices < 1:
        raise InputError(f"num_slices={num_slices} must be at least 1.")
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "plan needs the compiler for TPUs, which is not installed: "
            "pip install 'transformer-jax[tpu]'."
        )
    quieten()
    from jax.experimental import topologies

    version, _, shape = topology.lower().partition(":")
    version = _ALIASES.get(version, version)
    arguments: dict[str, Any] = {"num_slices": num_slices} if num_slices > 1 else {}
    if version == "v4":  # Both cores of a chip as one device, as Cloud TPU shows them.
        arguments["chip_config_name"] = "megacore"
    if set(shape.split("x")) == {"1"}:  # Hosts have four chips or more otherwise.
        arguments["chips_per_host_bounds"] = (1, 1, 1)
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=f"{version}:{shape}", **arguments
        )
    except jax.errors.JaxRuntimeError as error:
        why = " ".join(str(error).split()).removeprefix("INVALID_ARGUMENT: ")
        why = why.partition(" and does not match regex")[0]
        given = f"topology={topology or repr(topology)}"
        raise InputError(f"{given} must be {_EXAMPLES}: {why}") from None
    devices: list[jax.Device] = found.devices
    return devices


def chip_of_topology(devices: Sequence[jax.Device], topology: str) -> Chip:
    """Returns the data sheet of the chips of a topology.

    Raises:
        InputError: there is none, or slices of such chips have no such shape.
    """
    chip = chip_of(devices[0])
    if chip is None:
        raise InputError(
            f"topology={topology}: nothing is known of {devices[0].device_kind}; "
            f"give {_EXAMPLES}."
        )
    coords = [tuple(device.coords) for device in devices]
    extents = [len(set(axis)) for axis in zip(*coords, strict=True)]
    if sum(extent > 1 for extent in extents) > (chip.network_dimensions or 3):
        raise InputError(
            f"topology={topology}: slices of {chip.name} have "
            f"{chip.network_dimensions} dimensions; give {_EXAMPLES}."
        )
    return chip
