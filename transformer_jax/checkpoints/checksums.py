"""Checksums of a checkpoint's files: no array that fails its check is ever used.

Each item of a checkpoint has a file `checksums.json` with size and CRC-32 of its other
files, written after them, before the checkpoint gets its name. Checkpoints of versions
that wrote none are read without it.
"""

import contextlib
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import orbax.checkpoint as ocp

from transformer_jax.checkpoints.errors import DamagedCheckpoint, first_line
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import StoredPath

CHECKSUMS = "checksums.json"
# Validation results have their checksum in themselves, see `validation_file`.
_ITEMS = ("params", "training", "run", "config", "tokenizer", "average")
_CHUNK_BYTES = 1 << 24


def with_checksums(handler: ocp.CheckpointHandler) -> ocp.CheckpointHandler:
    """Returns the handler, which now writes checksums when an item is complete.

    Orbax calls `finalize` in one process, when all have written.
    """
    finalize: Callable[[StoredPath], Any] = handler.finalize

    def finalize_then_sum(directory: StoredPath) -> None:
        finalize(directory)
        write_checksums(directory)

    handler.finalize = finalize_then_sum
    return handler


def write_checksums(item: StoredPath) -> None:
    """Writes the checksums of all files of an item."""
    sums = _sums_of(item)
    # Written under a name for the time being, which begins with the final one.
    checkpoint = item.parent.name.partition(".")[0]
    (item / CHECKSUMS).write_text(seal(sums, checkpoint))


def _sums_of(item: StoredPath) -> dict[str, dict[str, int]]:
    return {
        name: dict(zip(("bytes", "crc32"), _sum(item / name), strict=True))
        for name in sorted(_files(item))
        if name != CHECKSUMS
    }


def seal(sums: Mapping[str, Mapping[str, int]], checkpoint: str | None = None) -> str:
    """Returns the contents of the file, with a checksum of its own.

    Args:
        checkpoint: the name it is written under, by which its items belong together.
    """
    named = {} if checkpoint is None else {"checkpoint": checkpoint}
    contents = {"files": sums, **named}
    return json.dumps({**contents, "crc32": _sum_of(contents)}, indent=1)


def _sum_of(contents: Mapping[str, Any]) -> int:
    # Without a name, as earlier versions wrote: of the files alone.
    summed = contents if "checkpoint" in contents else contents["files"]
    return zlib.crc32(json.dumps(summed, sort_keys=True).encode())


def verify_checkpoint(directory: StoredPath, items: Sequence[str] = ()) -> int:
    """Reads every file of a checkpoint; returns how many bytes have been compared.

    Args:
        items: look at these alone.

    Raises:
        DamagedCheckpoint: a file is not as it was written.
    """
    found = [name for name in _ITEMS if (directory / name).is_dir()]
    if not any((directory / name / CHECKSUMS).exists() for name in found):
        return 0
    required = items or found
    num_bytes = sum(_verify_item(directory / name) for name in required)
    _check_belonging(directory, found)
    return num_bytes


def _check_belonging(directory: StoredPath, items: Sequence[str]) -> None:
    """Checks that no item was put there from another checkpoint."""
    names = {}
    for item in items:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stored = parse_json((directory / item / CHECKSUMS).read_text())
            names[item] = stored.get("checkpoint")
    for item, name in names.items():
        if name is not None and names.get("config") not in (None, name):
            raise DamagedCheckpoint(
                f"{directory / item} is of another checkpoint ({name}) than "
                f"{directory / 'config'} ({names['config']})."
            )


def digest_of_files(item: StoredPath) -> str:
    """Returns a digest of the files of an item, by their checksums.

    An item without these, of an early version, is read.
    """
    if (item / CHECKSUMS).exists():
        sums = parse_json((item / CHECKSUMS).read_text())["files"]
    else:
        sums = _sums_of(item)
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]


def _verify_item(item: StoredPath) -> int:
    try:
        stored = parse_json((item / CHECKSUMS).read_text())
        sums = stored["files"]
        if stored.pop("crc32") != _sum_of(stored):
            raise ValueError("its checksum is not that of what was written")
        expected = {n: (int(s["bytes"]), int(s["crc32"])) for n, s in sums.items()}
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
    ) as error:
        raise DamagedCheckpoint(
            f"{item / CHECKSUMS} is missing or damaged ({first_line(error)})."
        ) from None
    for name, written in expected.items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            raise DamagedCheckpoint(
                f"{item / CHECKSUMS} is damaged: {name!r} is outside its directory."
            )
        try:
            found = _sum(item / name)
        except OSError as error:
            raise DamagedCheckpoint(
                f"{item / name} cannot be read ({error.strerror or error})."
            ) from None
        if found[0] != written[0]:
            raise DamagedCheckpoint(
                f"{item / name} is damaged: it has {found[0]} bytes, {written[0]} were "
                "written."
            )
        if found != written:
            raise DamagedCheckpoint(
                f"{item / name} is damaged: its checksum is not that of what was "
                "written."
            )
    return sum(size for size, _ in expected.values())


def _files(directory: StoredPath, prefix: str = "") -> Iterator[str]:
    """Yields the names of all files below a directory."""
    for path in directory.iterdir():
        if path.is_dir():
            yield from _files(path, f"{prefix}{path.name}/")
        else:
            yield f"{prefix}{path.name}"


def _sum(path: StoredPath) -> tuple[int, int]:
    """Returns size and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return size, crc
