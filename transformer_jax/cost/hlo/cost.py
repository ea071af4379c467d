"""The cost of a compiled program: operations, bytes moved, bytes sent.

XLA's own analysis (`compiled.cost_analysis()`) counts the body of a loop once, for any
trip count. Here every instruction counts as often as it runs. The two agree for a
program without loops.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from transformer_jax.cost.hlo.bytes import anywhere, bytes_of, in_main_memory
from transformer_jax.cost.hlo.collectives import Collective, collectives_of
from transformer_jax.cost.hlo.flops import flops_of
from transformer_jax.cost.hlo.loops import Integers, UncountedLoopError, read_loop
from transformer_jax.cost.hlo.text import (
    Computation,
    Instruction,
    Program,
    ProgramError,
    parse_program,
)


@dataclass(frozen=True)
class OperationCost:
    """The cost of one instruction in the whole program."""

    name: str
    opcode: str
    op_name: str
    """The path of JAX functions and primitives that it comes from."""
    result: str
    """Dtypes and shapes of its result."""
    times: int
    """Number of times it runs."""
    flops: float
    matmul_flops: float
    bytes_accessed: int
    main_memory_bytes: int


@dataclass(frozen=True)
class ProgramCost:
    """The cost of one run of a program on one device."""

    operations: tuple[OperationCost, ...]
    collectives: tuple[Collective, ...]

    @property
    def flops(self) -> float:
        """Floating point operations, counted for every element."""
        return sum(operation.flops for operation in self.operations)

    @property
    def matmul_flops(self) -> float:
        """The part of `flops` in matrix products."""
        return sum(operation.matmul_flops for operation in self.operations)

    @property
    def bytes_accessed(self) -> int:
        """Bytes that instructions read and write, in any memory."""
        return sum(operation.bytes_accessed for operation in self.operations)

    @property
    def main_memory_bytes(self) -> int:
        """The part of `bytes_accessed` in the main memory of the device."""
        return sum(operation.main_memory_bytes for operation in self.operations)

    @property
    def collective_bytes(self) -> dict[str, int]:
        """Bytes that collectives send from this device, by kind."""
        found: dict[str, int] = {}
        for collective in self.collectives:
            found.setdefault(collective.kind, 0)
            found[collective.kind] += collective.total_bytes
        return dict(sorted(found.items()))

    def table(self, top: int = 30, by: str = "bytes_accessed") -> str:
        """Returns the most expensive operations as lines of text.

        Args:
            by: the field by which they are ordered.
        """
        total = sum(getattr(operation, by) for operation in self.operations) or 1
        ordered = sorted(self.operations, key=lambda o: -getattr(o, by))
        lines = [f"{'GB':>8} {'main GB':>8} {'GFLOP':>8} {'%':>5} {'times':>6}"]
        for operation in ordered[:top]:
            lines.append(
                f"{operation.bytes_accessed / 1e9:8.3f}"
                f" {operation.main_memory_bytes / 1e9:8.3f}"
                f" {operation.flops / 1e9:8.2f}"
                f" {100 * getattr(operation, by) / total:5.1f} {operation.times:6d}"
                f"  {operation.opcode} {operation.result}  {operation.op_name}"
            )
        return "\n".join(lines)


def program_cost(text: str) -> ProgramCost:
    """Returns the cost of a compiled program from its text (`compiled.as_text()`).

    Bytes are those of operands and results of every instruction that runs by itself,
    as XLA counts them: what is fused moves nothing but what goes into the fusion and
    comes out of it, and what reads or writes a slice touches the slice alone.

    Raises:
        ProgramError: not the text of a compiled program, or a loop in it whose trip
            count cannot be told.
    """
    with _consistent():
        program = parse_program(text)
        return _cost_of(program, _runs(program, program.entry, 1, {}))


_STEPS = "/steps/while"


def step_cost(text: str) -> tuple[ProgramCost, ProgramCost]:
    """Returns the cost of a program of steps: of all around them, and of one step.

    The steps are the turns of its one loop whose trip count depends on data; of several
    loops, which may be nested, of the one in the scope "steps" (`jax.named_scope`).
    What else is in such loops counts for neither.

    Raises:
        ProgramError: as `program_cost`, or the program has no such loop, or several.
    """
    with _consistent():
        program = parse_program(text)
        loop, around = _find_steps(program)
        step = [
            run
            for part in ("condition", "body")
            for run in _runs(program, loop.called[part], 1, {})
        ]
        return _cost_of(program, around), _cost_of(program, step)


def find_step(program: Program) -> Computation:
    """Returns what a program of steps computes in each, see `step_cost`.

    Raises:
        ProgramError: as `step_cost`.
    """
    return program.computations[_find_steps(program)[0].called["body"]]


def _find_steps(
    program: Program,
) -> tuple[Instruction, list[tuple[Computation, int]]]:
    """Returns the loop of a program of steps, and what runs around it."""
    outer: list[Instruction] = []
    around = list(_runs(program, program.entry, 1, {}, outer))
    loops = list(_with_nested(program, outer))
    if len(loops) > 1:
        loops = [loop for loop in loops if loop.op_name.endswith(_STEPS)]
    if len(loops) != 1:
        raise ProgramError(f"{len(loops)} loops depend on data, not one.")
    return loops[0], around


def _with_nested(
    program: Program, loops: Iterable[Instruction]
) -> Iterator[Instruction]:
    """Yields loops that depend on data, and such loops within them."""
    for loop in loops:
        yield loop
        nested: list[Instruction] = []
        list(_runs(program, loop.called["body"], 1, {}, nested))
        yield from _with_nested(program, nested)


@contextlib.contextmanager
def _consistent() -> Iterator[None]:
    """Makes errors of a program that contradicts itself a `ProgramError`."""
    try:
        yield
    except ProgramError:
        raise
    # What an instruction says does not fit its opcode, its operands or their shapes.
    except (LookupError, ArithmeticError, ValueError) as error:
        raise ProgramError(f"the program contradicts itself: {error!r}") from error


def _cost_of(program: Program, runs: Iterable[tuple[Computation, int]]) -> ProgramCost:
    operations: list[OperationCost] = []
    collectives: list[Collective] = []
    for computation, times in runs:
        collectives += collectives_of(program, computation, times)
        for instruction in computation.instructions.values():
            cost = _operation_cost(program, computation, instruction, times)
            if cost.bytes_accessed or cost.flops:
                operations.append(cost)
    return ProgramCost(tuple(operations), tuple(collectives))


def _runs(
    program: Program,
    name: str,
    times: int,
    known: Integers,
    uncounted: list[Instruction] | None = None,
) -> Iterator[tuple[Computation, int]]:
    """Yields the computations that run by themselves, and how often.

    Args:
        known: constants that the computation is given.
        uncounted: takes the loops whose trip count depends on data; they are left out.
            None = there must be none.
    """
    computation = program.computations[name]
    yield computation, times
    for instruction in computation.instructions.values():
        called = instruction.called
        if instruction.opcode == "while":
            try:
                loop = read_loop(program, computation, instruction, known)
            except UncountedLoopError:
                if uncounted is None:
                    raise
                uncounted.append(instruction)
                continue
            trips, constants = times * loop.trips, loop.constants
            yield from _runs(program, called["body"], trips, constants)
            yield from _runs(program, called["condition"], trips + times, constants)
        elif instruction.opcode == "call":
            yield from _runs(program, called["to_apply"], times, {}, uncounted)
        elif instruction.opcode == "conditional":
            # One of them runs: the dearest, to be safe.
            branches = [list(_runs(program, b, times, {})) for b in called.values()]
            yield from max(branches, key=lambda runs: _bytes_of_runs(program, runs))


def _bytes_of_runs(program: Program, runs: list[tuple[Computation, int]]) -> int:
    return sum(
        _operation_cost(program, computation, instruction, times).bytes_accessed
        for computation, times in runs
        for instruction in computation.instructions.values()
    )


def _operation_cost(
    program: Program, computation: Computation, instruction: Instruction, times: int
) -> OperationCost:
    flops = flops_of(program, computation, instruction)
    return OperationCost(
        name=instruction.name,
        opcode=instruction.opcode,
        op_name=instruction.op_name,
        result=" ".join(
            f"{shape.dtype}{list(shape.dimensions)}" for shape in instruction.shapes[:3]
        ),
        times=times,
        flops=times * flops.total,
        matmul_flops=times * flops.matmul,
        bytes_accessed=times * bytes_of(program, computation, instruction, anywhere),
        main_memory_bytes=times
        * bytes_of(program, computation, instruction, in_main_memory),
    )
