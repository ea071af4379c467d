"""The time of a program's schedule: what waits for the network, and what hides it.

The compiler prints instructions in the order in which the chip runs them. Each takes
the time of its matrix products or of its bytes in main memory, whichever is longer.
Copies and collectives that have a start and an end run beside those in between, in two
queues of their own; all others stop the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from transformer_jax.cost.hlo.bytes import bytes_of, in_main_memory
from transformer_jax.cost.hlo.collectives import (
    ASYNC_DONE,
    ASYNC_START,
    Collective,
    collectives_at,
    custom_call_target,
)
from transformer_jax.cost.hlo.cost import find_step
from transformer_jax.cost.hlo.flops import flops_of
from transformer_jax.cost.hlo.loops import Integers, read_loop
from transformer_jax.cost.hlo.text import (
    Computation,
    Instruction,
    Program,
    parse_program,
)

_COPIES = ("copy-start", "slice-start", "dynamic-slice-start")


@dataclass(frozen=True)
class Rates:
    """What a device does in a second."""

    matmul_flops: float
    memory_bytes: float
    network_seconds: Callable[[Collective], float]
    """Returns the seconds of a collective that has the network to itself."""


@dataclass(frozen=True)
class Schedule:
    """The times of a program on one device."""

    seconds: float
    """Until the last instruction has ended."""
    network_seconds: float
    """Of all collectives, one after the other."""
    exposed_network_seconds: float
    """In which nothing else runs."""

    def __add__(self, other: "Schedule") -> "Schedule":
        return Schedule(
            self.seconds + other.seconds,
            self.network_seconds + other.network_seconds,
            self.exposed_network_seconds + other.exposed_network_seconds,
        )

    def __mul__(self, times: int) -> "Schedule":
        return Schedule(
            times * self.seconds,
            times * self.network_seconds,
            times * self.exposed_network_seconds,
        )


def schedule_of(text: str, rates: Rates) -> Schedule:
    """Returns the times of a program from its text (`compiled.as_text()`).

    Raises:
        ProgramError: as `program_cost`.
    """
    program = parse_program(text)
    return _schedule(program, program.computations[program.entry], {}, rates)


def step_schedule(text: str, rates: Rates) -> Schedule:
    """Returns the times of one step of a program of steps.

    Raises:
        ProgramError: as `step_cost`.
    """
    program = parse_program(text)
    return _schedule(program, find_step(program), {}, rates)


@dataclass
class _Clock:
    """The time so far, and when each queue has done what it was given."""

    now: float = 0.0
    network: float = 0.0
    copies: float = 0.0
    sent: float = 0.0
    waited: float = 0.0
    ends: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When what an instruction has started ends, and whether it is a collective."""

    def start_collective(self, name: str, seconds: float) -> None:
        self.network = max(self.now, self.network) + seconds
        self.sent += seconds
        self.ends[name] = self.network, True

    def start_copy(self, name: str, seconds: float) -> None:
        self.copies = max(self.now, self.copies) + seconds
        self.ends[name] = self.copies, False

    def wait_for(self, name: str) -> None:
        end, is_collective = self.ends.get(name, (0.0, False))
        if is_collective:
            self.waited += max(0.0, end - self.now)
        self.now = max(self.now, end)


def _schedule(
    program: Program, computation: Computation, known: Integers, rates: Rates
) -> Schedule:
    """Returns the times of one run of a computation.

    Args:
        known: constants that the computation is given.
    """
    clock, inner = _Clock(), Schedule(0.0, 0.0, 0.0)
    for instruction in computation.instructions.values():
        called = _inner_schedule(program, computation, instruction, known, rates)
        inner += called
        clock.now += called.seconds
        network = sum(
            rates.network_seconds(each)
            for each in collectives_at(program, computation, instruction, 1)
        )
        if _ends(program, instruction):
            clock.wait_for(_start_of(computation, instruction, clock))
        elif network and _starts(program, instruction):
            clock.start_collective(instruction.name, network)
        elif network:
            clock.start_collective(instruction.name, network)
            clock.wait_for(instruction.name)
        else:
            flops = flops_of(program, computation, instruction).matmul
            moved = bytes_of(program, computation, instruction, in_main_memory)
            if instruction.opcode in _COPIES:
                clock.start_copy(instruction.name, moved / rates.memory_bytes)
            else:
                clock.now += max(flops / rates.matmul_flops, moved / rates.memory_bytes)
    return inner + Schedule(clock.now - inner.seconds, clock.sent, clock.waited)


def _inner_schedule(
    program: Program,
    computation: Computation,
    instruction: Instruction,
    known: Integers,
    rates: Rates,
) -> Schedule:
    """Returns the times of the computations that an instruction runs."""
    called = instruction.called

    def run(part: str, known: Integers) -> Schedule:
        return _schedule(program, program.computations[called[part]], known, rates)

    if instruction.opcode == "while":
        loop = read_loop(program, computation, instruction, known)
        return run("body", loop.constants) * loop.trips
    if instruction.opcode == "call":
        return run("to_apply", {})
    if instruction.opcode == "conditional":
        return max((run(part, {}) for part in called), key=lambda s: s.seconds)
    return Schedule(0.0, 0.0, 0.0)


def _starts(program: Program, instruction: Instruction) -> bool:
    return instruction.opcode.endswith("-start") or (
        _fused_target(program, instruction) == ASYNC_START
    )


def _ends(program: Program, instruction: Instruction) -> bool:
    return instruction.opcode.endswith("-done") or (
        _fused_target(program, instruction) == ASYNC_DONE
    )


def _fused_target(program: Program, instruction: Instruction) -> str:
    if instruction.opcode != "fusion":
        return ""
    return custom_call_target(program.computations[instruction.called["calls"]].root)


def _start_of(computation: Computation, instruction: Instruction, clock: _Clock) -> str:
    """Returns the name of what an instruction waits for."""
    for operand in computation.operands(instruction):
        while operand.opcode in ("get-tuple-element", "bitcast"):
            operand = computation.instructions[operand.operands[0]]
        if operand.name in clock.ends:
            return operand.name
    return ""
