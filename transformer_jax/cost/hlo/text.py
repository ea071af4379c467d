"""The text of a compiled program, read into instructions.

XLA prints an optimised program as computations, each a list of instructions in the
order in which they run. This file reads the parts that a cost needs: shapes with their
memory space, operands, called computations, and the name that JAX gave.
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_DTYPE_BITS = {"pred": 8, "token": 0, "opaque": 0}
_SHAPE = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%([\w.\-]+)")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_CALLED = re.compile(
    r"(calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_OP_NAME = re.compile(r'metadata=\{[^}]*?op_name="([^"]*)"')
_SPACE = re.compile(r"S\((\d+)\)")
_TILE = re.compile(r":T\(([\d,]+)\)")


class ProgramError(ValueError):
    """Text that is no compiled program, or one that this reader cannot follow."""


@dataclass(frozen=True)
class Shape:
    """An array: one leaf of the result of an instruction."""

    dtype: str
    dimensions: tuple[int, ...]
    memory_space: int = 0
    """0 is the main memory of the device; others are on the chip or on the host."""
    minor_to_major: tuple[int, ...] = ()
    """Order of the dimensions in memory; empty = the last is the minor one."""
    tile: tuple[int, ...] = ()
    """The minor dimensions are padded to a multiple of it."""

    @property
    def num_elements(self) -> int:
        """Elements of the array, 1 for a scalar."""
        return math.prod(self.dimensions)

    @property
    def num_bytes(self) -> int:
        """Bytes of the array in memory, with the padding of its layout."""
        order = self.minor_to_major or range(len(self.dimensions))[::-1]
        sizes = [self.dimensions[i] for i in order]
        sizes += [1] * (len(self.tile) - len(sizes))
        for i, multiple in enumerate(reversed(self.tile)):
            sizes[i] = -(-sizes[i] // multiple) * multiple
        return -(-math.prod(sizes) * _bits(self.dtype) // 8)


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    """The leaves of its result."""
    operands: tuple[str, ...]
    """Names of instructions of the same computation."""
    literal: str
    """The text in parentheses: value of a constant, number of a parameter."""
    attributes: str
    """The text after the parentheses."""
    is_root: bool

    @functools.cached_property
    def called(self) -> dict[str, str]:
        """Computations it calls: `calls`, `body`, `condition`, `branch 0`, ..."""
        found = dict(_CALLED.findall(self.attributes))
        branches = _BRANCHES.search(self.attributes)
        names = branches[1].split(",") if branches else []
        named = enumerate(name.strip().lstrip("%") for name in names)
        return found | {f"branch {index}": name for index, name in named}

    @property
    def op_name(self) -> str:
        """Its path of JAX functions and primitives."""
        found = _OP_NAME.search(self.attributes)
        return found[1] if found else ""

    @property
    def num_bytes(self) -> int:
        """Bytes of its result."""
        return sum(shape.num_bytes for shape in self.shapes)


@dataclass(frozen=True)
class Computation:
    """A list of instructions, called by others or the entry of the program."""

    name: str
    instructions: dict[str, Instruction] = field(default_factory=dict)

    @functools.cached_property
    def root(self) -> Instruction:
        """The instruction whose result the computation returns."""
        return next(i for i in self.instructions.values() if i.is_root)

    @functools.cached_property
    def parameters(self) -> dict[int, Instruction]:
        """Parameters by their number."""
        return {
            int(instruction.literal): instruction
            for instruction in self.instructions.values()
            if instruction.opcode == "parameter"
        }

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """The instructions that read each instruction, by its name."""
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                found[operand].append(instruction)
        return found

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """Returns the instructions that an instruction reads."""
        return [self.instructions[name] for name in instruction.operands]


@dataclass(frozen=True)
class Program:
    """Every computation of a compiled program."""

    computations: dict[str, Computation]
    entry: str


@functools.lru_cache(maxsize=1)  # Of one text its costs and its times are asked.
def parse_program(text: str) -> Program:
    """Returns the computations of a program from its text (`compiled.as_text()`).

    What an instruction reads stands before it, and so do computations that it calls:
    who follows these names comes to an end.

    Raises:
        ProgramError: it is not the text of a compiled program.
    """
    computations: dict[str, Computation] = {}
    entry = ""
    current: Computation | None = None
    for line in text.splitlines():
        if current is None:
            header = _HEADER.match(line)
            if header:
                current = Computation(header[2])
                entry = current.name if header[1] else entry
        elif line.startswith("}"):
            _check_root(current)
            computations[current.name] = current
            current = None
        elif " = " in line:
            try:
                instruction = _parse_instruction(line)
            except ValueError as error:
                raise ProgramError(f"cannot be read ({error}): {line!r:.80}") from None
            _check_names(instruction, current, computations)
            current.instructions[instruction.name] = instruction
    if entry not in computations:
        raise ProgramError("not the text of a compiled program: it has no ENTRY.")
    return Program(computations, entry)


def _check_names(
    instruction: Instruction,
    computation: Computation,
    computations: Mapping[str, Computation],
) -> None:
    """Checks that all that an instruction names stands before it."""
    before = computation.instructions
    missing = [name for name in instruction.operands if name not in before]
    missing += [n for n in instruction.called.values() if n not in computations]
    where = f"%{instruction.name} of %{computation.name}"
    if missing:
        raise ProgramError(f"{where} needs %{missing[0]}, which is not before it.")
    if instruction.name in before:
        raise ProgramError(f"{where} is there twice.")


def _check_root(computation: Computation) -> None:
    roots = [i for i in computation.instructions.values() if i.is_root]
    if len(roots) != 1:
        raise ProgramError(f"%{computation.name} has {len(roots)} ROOTs, not one.")


def _parse_instruction(line: str) -> Instruction:
    left, right = line.split(" = ", 1)
    end = _closing(right, 0) + 1 if right.startswith("(") else right.index(" ")
    opening = right.index("(", end)
    closing = _closing(right, opening)
    inside = right[opening + 1 : closing]
    return Instruction(
        name=left.split("%")[-1].split()[-1],
        opcode=right[end:opening].strip(),
        shapes=tuple(_parse_shapes(right[:end])),
        operands=tuple(_NAME.findall(inside)),
        literal=inside,
        attributes=right[closing + 1 :],
        is_root=left.lstrip().startswith("ROOT "),
    )


def _closing(text: str, opening: int) -> int:
    """Returns the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for match in re.compile(r"[()]").finditer(text, opening):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    raise ValueError(f"parentheses do not match in: {text[:80]}")


def _parse_shapes(text: str) -> Iterator[Shape]:
    for dtype, dimensions, layout in _SHAPE.findall(text):
        space, tile = _SPACE.search(layout), _TILE.search(layout)
        yield Shape(
            dtype,
            _integers(dimensions.replace("<=", "")),  # A bounded size counts whole.
            int(space[1]) if space else 0,
            _integers(layout.split(":")[0]),
            _integers(tile[1]) if tile else (),
        )


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


def _bits(dtype: str) -> int:
    if dtype in _DTYPE_BITS:
        return _DTYPE_BITS[dtype]
    digits = re.search(r"\d+", dtype)
    return int(digits[0]) if digits else 32
