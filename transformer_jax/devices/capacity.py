"""Memory of the devices and of this host, and settings that cannot fit into it.

What is counted is less than what a run really takes: who is refused could not have run.
"""

import math
import os
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from transformer_jax.config.checks import MOST_SIZE
from transformer_jax.config.data import DataConfig
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.devices.chips import GIB, chip_of
from transformer_jax.devices.defaults import decoding_batch_tokens
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import max_position

_INT32, _INT64 = 4, 8
# Attention weights of a search on a device at a time: 1 GiB, and their mask.
_SEARCH_WEIGHTS = 1 << 28
_LEAST_SLOTS = 32
# What decides the number of parameters.
_SIZES = (
    "vocab_size", "num_encoder_layers", "num_decoder_layers", "d_model", "d_ff",
    "num_heads", "d_k", "d_v",
)  # fmt: skip
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def host_memory() -> int | None:
    """Returns the bytes that processes of this host may use; None = not known."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Not on every system.
        return None
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        limit = "max"
    return min(total, int(limit)) if limit.isdecimal() else total


def device_memory(mesh: Mesh) -> int | None:
    """Returns the bytes of one device of this process; None = not known.

    CPU devices share the memory of their host.
    """
    devices = mesh.local_devices
    if devices[0].platform == "cpu":
        total = host_memory()
        return None if total is None else total // len(devices)
    stats = devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    chip = chip_of(devices[0])
    return None if chip is None else chip.memory_bytes // chip.devices_per_chip


def check_training_fits(
    data: DataConfig, model: ModelConfig, state: Any, mesh: Mesh
) -> None:
    """Checks that the state of a run and its batches can be held.

    Args:
        state: shapes, dtypes and shardings of parameters and optimizer.

    Raises:
        InputError: a device or this host has too little memory.
    """
    state_bytes = sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state)
    )
    memory = device_memory(mesh)
    names = [*_SIZES, *(["max_length"] if model.positions == "learned" else [])]
    values = {name: getattr(model, name) for name in names}
    sizes = ", ".join(f"model.{n}={v}" for n, v in values.items() if v is not None)
    _require(
        f"the parameters and the optimizer ({sizes})",
        "each device",
        state_bytes,
        memory,
        "a smaller model, or more devices and mesh.fsdp",
    )
    row = data.source_length + data.target_length
    # In bfloat16, and an update may take the rows in parts of one row.
    _require(
        f"a row of data.source_length={data.source_length} and "
        f"data.target_length={data.target_length}",
        "each device",
        row * model.d_model * 2,
        memory,
        "shorter rows",
    )
    _check_batches_fit(data, mesh)


def _check_batches_fit(data: DataConfig, mesh: Mesh) -> None:
    """Checks that this host can pack the text and hold the batches made ahead."""
    memory = host_memory()
    lengths = (
        f"data.source_length={data.source_length} and "
        f"data.target_length={data.target_length}"
    )
    # Rooms of rows by their two lengths, see `bin_packing`.
    _require(
        f"packing into rows of {lengths}",
        "this host",
        (data.source_length + 1) * (data.target_length + 1) * _INT64,
        memory,
        "shorter rows",
    )
    # The arrays of `Batch`.
    row = (3 * data.source_length + 4 * data.target_length) * _INT32
    local_rows = data.rows * len(mesh.local_devices) // mesh.size
    _require(
        f"data.prefetch_batches={data.prefetch_batches} batches of "
        f"data.batch_tokens={data.batch_tokens}",
        "this host",
        data.prefetch_batches * max(local_rows, 1) * row,
        memory,
        "fewer or smaller batches",
    )


def search_batch_tokens(
    settings: DecodingConfig, model: ModelConfig, mesh: Mesh
) -> int:
    """Returns the source tokens that a device translates at a time.

    Fewer than the settings say where the beam is so large that attention to it would
    not fit: all hypotheses of a sentence attend to the places of all, in one product.
    """
    most = _SEARCH_WEIGHTS // (model.num_heads * settings.beam_size**2)
    return max(1, min(decoding_batch_tokens(settings, mesh), most))


def check_search_fits(settings: DecodingConfig, model: ModelConfig, mesh: Mesh) -> None:
    """Checks that a device can hold the beam of one sentence.

    Raises:
        InputError: it cannot.
    """
    length = min(settings.max_extra_length, max_position(model) or MOST_SIZE)
    # Logits; the tokens of live and finished hypotheses, and once more where these are
    # ranked; and attention to the cache.
    numbers = settings.beam_size * (model.output_vocab_size + 4 * length)
    numbers += model.num_heads * settings.beam_size**2 * _LEAST_SLOTS
    _require(
        f"decoding.beam_size={settings.beam_size} hypotheses of up to "
        f"decoding.max_extra_length={settings.max_extra_length} tokens more than the "
        "source",
        "each device",
        numbers * _INT32,
        device_memory(mesh),
        "a smaller beam or shorter outputs",
    )


def _require(
    what: str, where: str, needed: int, memory: int | None, remedy: str
) -> None:
    if memory is not None and needed > memory:
        raise InputError(
            f"{what} need at least {needed / GIB:,.1f} GiB, and {where} has "
            f"{memory / GIB:,.1f}: take {remedy}."
        )
