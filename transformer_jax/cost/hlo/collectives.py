"""Collectives of a compiled program."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transformer_jax.cost.hlo.text import Computation, Instruction, Program

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)
BETWEEN_SLICES = "slices-"
"""Prefix of the kind of a collective between slices, which hosts carry out."""
ASYNC_START, ASYNC_DONE = "AsyncCollectiveStart", "AsyncCollectiveDone"
_CHAIN = "chain_id="  # Of a collective that is printed several times.
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_LISTED = re.compile(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}\s]*\})\}")
_IOTA = re.compile(r"replica_groups=(\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\]([^{]*)\{([^}]*)\}")
_ORDER = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")


@dataclass(frozen=True)
class Collective:
    """One collective, with all its runs."""

    kind: str
    operand_bytes: int
    """Bytes that one run sends from this device."""
    result_bytes: int
    """Bytes that one run leaves on this device."""
    groups: tuple[tuple[int, ...], ...]
    """Partitions that take part together; for a permute, pairs (from, to). Empty = all
    partitions together."""
    times: int
    op_name: str

    @property
    def total_bytes(self) -> int:
        """Bytes sent from this device in all runs."""
        return self.times * self.operand_bytes


def collectives_of(
    program: Program, computation: Computation, times: int
) -> Iterator[Collective]:
    """Yields the collectives of a computation, also those inside of fusions."""
    for instruction in computation.instructions.values():
        yield from collectives_at(program, computation, instruction, times)


def collectives_at(
    program: Program, computation: Computation, instruction: Instruction, times: int
) -> Iterator[Collective]:
    """Yields the collectives that an instruction is, starts, or has fused into it."""
    found = _find_collectives(program, computation, instruction)
    for holder, collective in found:
        kind = collective.opcode.removesuffix("-start")
        operand_bytes = sum(o.num_bytes for o in holder.operands(collective))
        result_bytes = collective.num_bytes
        if kind == "send":
            kind = _between_slices(collective)
            result_bytes = operand_bytes
        if collective.opcode.endswith("-start"):
            result_bytes = max(result_bytes - operand_bytes, 0) or operand_bytes
        if kind == "all-reduce" and _keeps_a_part(holder, collective):
            kind = "reduce-scatter"
            result_bytes = holder.root.num_bytes
        yield Collective(
            kind,
            operand_bytes,
            result_bytes,
            _groups(collective.attributes),
            times,
            collective.op_name,
        )


def _find_collectives(
    program: Program, computation: Computation, instruction: Instruction
) -> Iterator[tuple[Computation, Instruction]]:
    if instruction.opcode.removesuffix("-start") in KINDS:
        if not is_on_its_way(computation, instruction):
            yield computation, instruction
    elif instruction.opcode == "send" and _TRANSFER.search(instruction.attributes):
        yield computation, instruction
    elif instruction.opcode in ("fusion", "async-start"):
        inner = program.computations[instruction.called["calls"]]
        if custom_call_target(inner.root) == ASYNC_START:
            yield inner, inner.operands(inner.root)[0]
        else:
            for fused in inner.instructions.values():
                yield from _find_collectives(program, inner, fused)


def custom_call_target(instruction: Instruction) -> str:
    """Returns the target of a custom call, "" for any other instruction."""
    found = _TARGET.search(instruction.attributes)
    return found[1] if found else ""


def is_on_its_way(computation: Computation, instruction: Instruction) -> bool:
    """Whether an instruction of a fusion is a collective that runs beside it.

    One that does is printed where it starts, in every fusion it runs beside, and where
    it ends. It counts where it starts.
    """
    if instruction.opcode not in KINDS or instruction.is_root:
        return False
    users = computation.users[instruction.name]
    return bool(users) and all(
        custom_call_target(user) in (ASYNC_START, ASYNC_DONE)
        or (
            user.opcode == "tuple" and user.is_root and _CHAIN in instruction.attributes
        )
        for user in users
    )


def _between_slices(send: Instruction) -> str:
    found = _TRANSFER.search(send.attributes)
    kind = found[1].lower().replace("_", "-") if found else "send"
    return f"{BETWEEN_SLICES}{kind}"


def _keeps_a_part(fused: Computation, reduction: Instruction) -> bool:
    """Whether a sum over devices is fused with taking this device's part of it."""
    users = fused.users[reduction.name]
    while len(users) == 1 and users[0].opcode in ("bitcast", "reshape", "convert"):
        users = fused.users[users[0].name]
    return len(users) == 1 and users[0].opcode == "dynamic-slice"


def _groups(attributes: str) -> tuple[tuple[int, ...], ...]:
    listed = _LISTED.search(attributes)
    if listed:
        groups = re.findall(r"\{([\d,\s]*)\}", listed[1])
        return tuple(tuple(int(i) for i in group.split(",") if i) for group in groups)
    iota = _IOTA.search(attributes)
    if iota:
        return _as_groups(_parse_order(iota[1]))
    mesh = _MESH.search(attributes)
    if mesh:
        sizes = {n: int(s) for n, s in re.findall(r"'([^']*)'=(\d+)", mesh[1])}
        devices = np.arange(math.prod(sizes.values()))
        if _ORDER.search(mesh[2]):
            devices = _parse_order(mesh[2]).reshape(-1)
        return _mesh_groups(devices, sizes, mesh[3])
    return ()


def _parse_order(text: str) -> np.ndarray:
    """Returns the array that is written as `[2,2]<=[4]` or `[4,2]<=[2,4]T(1,0)`."""
    found = _ORDER.search(text)
    assert found is not None
    shape, source = (tuple(map(int, found[i].split(","))) for i in (1, 2))
    values = np.arange(math.prod(source)).reshape(source)
    if found[3]:
        values = values.transpose(tuple(map(int, found[3].split(","))))
    return values.reshape(shape)


def _mesh_groups(
    devices: np.ndarray, sizes: dict[str, int], spanned: str
) -> tuple[tuple[int, ...], ...]:
    """Returns groups over some axes of a mesh; `'a':(2)3` is a factor of axis a."""
    shape: list[int] = []
    moved: list[int] = []
    parts = re.findall(r"'([^']*)'(?::\((\d+)\)(\d+))?", spanned)
    for axis, size in sizes.items():
        factors = [size]
        here = [(int(before or 1), int(part or size)) for n, before, part in parts
                if n == axis]  # fmt: skip
        chosen: list[int] = []
        if here:
            cuts = sorted({1, size, *(c for b, p in here for c in (b, b * p))})
            factors = [b // a for a, b in itertools.pairwise(cuts)] or [1]
            starts = cuts[:-1] or [1]
            chosen = [
                i
                for i, start in enumerate(starts)
                if any(b <= start < b * p for b, p in here)
            ]
        moved += [len(shape) + i for i in chosen]
        shape += factors
    grid = devices.reshape(shape)
    kept = [i for i in range(len(shape)) if i not in moved]
    grid = grid.transpose(kept + moved)
    group_size = math.prod(shape[i] for i in moved)
    return _as_groups(grid.reshape(-1, group_size))


def _as_groups(array: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(i) for i in row) for row in array)
