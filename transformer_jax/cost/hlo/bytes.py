"""Bytes that an instruction reads and writes, as XLA counts them.

These are the bytes of operands and results. A fusion counts by its inputs and outputs,
and an instruction that reads or writes a slice by the slice alone, in a fusion too.
"""

import dataclasses
from collections.abc import Callable, Iterator

from transformer_jax.cost.hlo.collectives import (
    ASYNC_DONE,
    ASYNC_START,
    custom_call_target,
    is_on_its_way,
)
from transformer_jax.cost.hlo.text import Computation, Instruction, Program, Shape

# These move nothing, or call other instructions, which are counted by themselves.
_FREE = frozenset({
    "add-dependency", "after-all", "bitcast", "call", "conditional", "constant",
    "domain", "get-tuple-element", "opt-barrier", "parameter", "partition-id",
    "replica-id", "tuple", "while",
})  # fmt: skip
_FREE_TARGETS = frozenset({"ConcatBitcast", "AllocateBuffer", ASYNC_START, ASYNC_DONE})

Count = Callable[[Shape], int]
"""Returns the bytes of an array, or 0 if its memory does not count."""


def anywhere(shape: Shape) -> int:
    """Returns the bytes of an array in any memory."""
    return shape.num_bytes


def in_main_memory(shape: Shape) -> int:
    """Returns the bytes of an array in main memory, otherwise 0."""
    return shape.num_bytes if shape.memory_space == 0 else 0


def bytes_of(
    program: Program, computation: Computation, instruction: Instruction, count: Count
) -> int:
    """Returns the bytes that one run of an instruction reads and writes.

    Args:
        count: `anywhere` or `in_main_memory`.
    """
    opcode = instruction.opcode
    operands = computation.operands(instruction)
    result = _sum(count, instruction.shapes)
    if opcode in _FREE:
        return 0
    if opcode in ("copy-start", "slice-start"):
        copied = instruction.shapes[0 if opcode == "copy-start" else 1]
        return count(copied) + _bytes_where_kept(operands[0], copied, count)
    if opcode in ("send", "recv"):  # One array, and a token for the order.
        return count((operands[0] if opcode == "send" else instruction).shapes[0])
    if opcode in ("send-done", "recv-done"):
        return 0
    if opcode.endswith("-start"):
        return sum(_sum(count, operand.shapes) for operand in operands)
    if opcode in ("copy-done", "slice-done"):
        # XLA counts such a copy again where it ends; the memory is not read again.
        again = 2 * result if opcode == "copy-done" else result
        return again if count is anywhere else 0
    if opcode.endswith("-done"):
        return result
    if opcode == "fusion":
        fused = program.computations[instruction.called["calls"]]
        return _fusion_bytes(program, fused, count)
    if opcode in ("slice", "dynamic-slice"):
        return result + _bytes_where_kept(operands[0], instruction.shapes[0], count)
    if opcode == "gather":
        read = _bytes_where_kept(operands[0], instruction.shapes[0], count)
        return result + read + _sum(count, operands[1].shapes)
    if opcode == "dynamic-update-slice":
        update = operands[1].shapes[0]
        return _sum(count, operands[1].shapes) + _bytes_where_kept(
            instruction, update, count
        )
    if opcode == "scatter":
        num_inputs = (len(operands) - 1) // 2
        updates = operands[num_inputs + 1 :]
        moved = sum(
            2 * _bytes_where_kept(target, update.shapes[0], count)
            + _sum(count, update.shapes)
            for target, update in zip(operands, updates, strict=False)
        )
        return moved + _sum(count, operands[num_inputs].shapes)
    if opcode == "custom-call" and custom_call_target(instruction) in _FREE_TARGETS:
        return 0
    return result + sum(_sum(count, operand.shapes) for operand in operands)


def _sum(count: Count, shapes: tuple[Shape, ...]) -> int:
    return sum(count(shape) for shape in shapes)


def _bytes_where_kept(holder: Instruction, part: Shape, count: Count) -> int:
    """Returns the bytes of a part of an array, by the memory of the array."""
    return count(dataclasses.replace(part, memory_space=holder.shapes[0].memory_space))


def _fusion_bytes(program: Program, fused: Computation, count: Count) -> int:
    """Returns the bytes of the inputs and outputs of a fusion."""
    # An asynchronous collective is an operand of every fusion beside it: count it once.
    if custom_call_target(fused.root) == ASYNC_DONE:
        return 0
    if custom_call_target(fused.root) == ASYNC_START:
        return _sum(count, fused.root.shapes[:2])  # What is sent, what is received.
    read = sum(
        _parameter_bytes(program, fused, parameter, count)
        for parameter in fused.parameters.values()
    )
    root = fused.root
    results = fused.operands(root) if root.opcode == "tuple" else [root]
    return read + sum(_result_bytes(fused, result, count) for result in results)


def _result_bytes(fused: Computation, result: Instruction, count: Count) -> int:
    source = result
    while source.opcode in ("bitcast", "copy", "convert") and len(source.operands) == 1:
        source = fused.instructions[source.operands[0]]
    if source.opcode == "dynamic-update-slice":
        update = fused.operands(source)[1].shapes[0]
        return _bytes_where_kept(result, update, count)
    if source.opcode in ("parameter", "get-tuple-element"):  # Handed through.
        return 0
    if is_on_its_way(fused, source):
        return 0
    return _sum(count, result.shapes)


def _parameter_bytes(
    program: Program, fused: Computation, parameter: Instruction, count: Count
) -> int:
    """Returns the bytes of a parameter that a fusion reads."""
    whole = _sum(count, parameter.shapes)
    read = 0
    for part in _parts_read(program, fused, parameter):
        if part is None:
            return whole
        read += _bytes_where_kept(parameter, part, count)
    return min(read, whole)


def _parts_read(
    program: Program, fused: Computation, value: Instruction
) -> Iterator[Shape | None]:
    """Yields the parts of a value that its users read, None being the whole."""
    for user in fused.users[value.name]:
        is_first = user.operands[0] == value.name
        if is_first and user.opcode in ("slice", "dynamic-slice", "gather"):
            yield user.shapes[0]
        elif user.opcode == "dynamic-update-slice" and is_first:
            continue  # Written in place; the update is counted with the result.
        elif user.opcode in ("bitcast", "get-tuple-element"):
            yield from _parts_read(program, fused, user)
        elif user.opcode == "tuple" or is_on_its_way(fused, user):
            continue
        elif user.opcode == "fusion":
            inner = program.computations[user.called["calls"]]
            for index, name in enumerate(user.operands):
                if name != value.name:
                    continue
                if _is_handed_through(inner, inner.parameters[index]):
                    yield from _parts_read(program, fused, user)
                else:
                    yield from _parts_read(program, inner, inner.parameters[index])
        else:
            yield None


def _is_handed_through(fused: Computation, parameter: Instruction) -> bool:
    """Whether a fusion does nothing but give a parameter another shape."""
    source = fused.root
    while source.opcode == "bitcast":
        source = fused.instructions[source.operands[0]]
    return source is parameter
