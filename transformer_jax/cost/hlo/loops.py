"""How often a loop of a compiled program runs."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from transformer_jax.cost.hlo.text import (
    Computation,
    Instruction,
    Program,
    ProgramError,
)

_KNOWN = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_DIRECTION = re.compile(r"direction=(\w+)")
_INDEX = re.compile(r"index=(\d+)")
_MOVES = frozenset({"bitcast", "convert", "copy", "reshape"})

Integers = Mapping[int, int]
"""The known constants in the tuple that a computation receives, by index."""


class UncountedLoopError(ProgramError):
    """A loop whose trip count cannot be told."""


@dataclass(frozen=True)
class Loop:
    """What the program text tells about a `while` loop."""

    trips: int
    constants: Integers
    """Constants that the loop does not change, by index."""


@dataclass(frozen=True)
class _Value:
    """A constant, or an element of the tuple that a computation receives."""

    constant: int | None = None
    index: int | None = None


def read_loop(
    program: Program, caller: Computation, loop: Instruction, known: Integers
) -> Loop:
    """Returns the trip count of a `while` loop, and the constants it does not change.

    The count is the compiler's annotation of the loop, or else follows from its
    counter: a value that starts at a constant, grows by a constant, and is compared
    with a constant.

    Args:
        known: constants that the caller receives.

    Raises:
        UncountedLoopError: the count depends on data.
    """
    body = program.computations[loop.called["body"]]
    start = caller.instructions[loop.operands[0]]
    starts: list[int | None] = []
    if start.opcode == body.root.opcode == "tuple":
        starts = [_integer(caller, name, known) for name in start.operands]
    constants = {
        index: value
        for index, value in enumerate(starts)
        if value is not None and _value(body, body.root.operands[index]).index == index
    }
    written = _KNOWN.search(loop.attributes)
    trips = int(written[1]) if written else _count(program, body, loop, starts)
    if trips is None:
        raise UncountedLoopError(
            f"the trip count of the loop {loop.name} cannot be told."
        )
    return Loop(trips, constants)


def _count(
    program: Program, body: Computation, loop: Instruction, starts: list[int | None]
) -> int | None:
    """Returns how many times the counter of a loop grows before the loop ends."""
    counter, limit, direction = _comparison(
        program, program.computations[loop.called["condition"]]
    )
    if counter.index is None or counter.index >= len(starts):
        return None
    first = starts[counter.index]
    step = _step(body, body.root.operands[counter.index])
    last = limit.constant if limit.index is None else starts[limit.index]
    if first is None or last is None or not step:
        return None
    if direction in ("LT", "GT", "NE"):
        return max(0, math.ceil((last - first) / step))
    if direction in ("LE", "GE"):
        return max(0, (last - first) // step + 1)
    return None


def _comparison(program: Program, condition: Computation) -> tuple[_Value, _Value, str]:
    """Returns the two values that a loop compares to go on, and the comparison."""
    root = condition.root
    arguments = [_value(condition, name) for name in root.operands]
    if root.opcode == "fusion":
        fused = program.computations[root.called["calls"]]
        root = fused.root
        arguments = [_outside(fused, name, arguments) for name in root.operands]
    direction = _DIRECTION.search(root.attributes)
    if root.opcode != "compare" or direction is None:
        return _Value(), _Value(), ""
    return arguments[0], arguments[1], direction[1]


def _outside(fused: Computation, name: str, arguments: list[_Value]) -> _Value:
    """Returns a value of a fusion in terms of its caller."""
    instruction = fused.instructions[name]
    if instruction.opcode == "parameter":
        return arguments[int(instruction.literal)]
    return _value(fused, name)


def _value(computation: Computation, name: str) -> _Value:
    """Returns the constant or the element that an instruction only copies."""
    instruction = computation.instructions[name]
    while instruction.opcode in _MOVES:
        instruction = computation.instructions[instruction.operands[0]]
    if instruction.opcode == "constant" and re.fullmatch(r"-?\d+", instruction.literal):
        return _Value(constant=int(instruction.literal))
    if instruction.opcode == "get-tuple-element":
        given = computation.instructions[instruction.operands[0]]
        index = _INDEX.search(instruction.attributes)
        if given.opcode == "parameter" and index:
            return _Value(index=int(index[1]))
    return _Value()


def _integer(computation: Computation, name: str, known: Integers) -> int | None:
    value = _value(computation, name)
    return value.constant if value.index is None else known.get(value.index)


def _step(body: Computation, name: str) -> int | None:
    """Returns the constant that the body adds to its counter."""
    instruction = body.instructions[name]
    while instruction.opcode in _MOVES:
        instruction = body.instructions[instruction.operands[0]]
    if instruction.opcode != "add":
        return None
    constants = [_value(body, operand).constant for operand in instruction.operands]
    found = [constant for constant in constants if constant is not None]
    return found[0] if len(found) == 1 else None
