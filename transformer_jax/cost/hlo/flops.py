"""Floating point operations of an instruction, as XLA counts them."""

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

_ELEMENTWISE = frozenset({
    "abs", "add", "and", "atan2", "ceil", "clamp", "clz", "compare", "complex",
    "convert", "divide", "floor", "imag", "is-finite", "maximum", "minimum", "multiply",
    "negate", "not", "or", "popcnt", "real", "reduce-precision", "remainder",
    "round-nearest-afz", "round-nearest-even", "select", "shift-left",
    "shift-right-arithmetic", "shift-right-logical", "sign", "subtract", "xor",
})  # fmt: skip
_DIMENSIONS = re.compile(r"(\w+)_contracting_dims=\{([\d,]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_WINDOW = re.compile(r"window=\{([^}]*)\}")
_GROUPS = re.compile(r"(feature|batch)_group_count=(\d+)")
_ESTIMATE = re.compile(r'"?cost_estimate"?:\s*\{[^}]*?"?flops"?:\s*"?(\d+)')


@dataclass(frozen=True)
class Flops:
    """Operations of one run of an instruction, without exp and similar functions."""

    total: float = 0.0
    matmul: float = 0.0

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.total + other.total, self.matmul + other.matmul)


def flops_of(
    program: Program, computation: Computation, instruction: Instruction
) -> Flops:
    """Returns the operations of one run of an instruction, those it calls included."""
    opcode = instruction.opcode
    if opcode in _ELEMENTWISE:
        return Flops(instruction.shapes[0].num_elements)
    if opcode in ("dot", "convolution"):
        count = _dot if opcode == "dot" else _convolution
        flops = count(computation, instruction)
        return Flops(flops, flops)
    if opcode == "fusion":
        fused = program.computations[instruction.called["calls"]]
        if _is_rest_of_collective(fused):
            return Flops()
        inner = (flops_of(program, fused, i) for i in fused.instructions.values())
        return sum(inner, Flops())
    if opcode in ("reduce", "reduce-window", "all-reduce", "reduce-scatter"):
        return Flops(_reduction(program, computation, instruction))
    if opcode == "scatter":
        updates = computation.operands(instruction)[-1].shapes[0].num_elements
        return Flops(updates * _flops_of_applied(program, instruction))
    if opcode == "custom-call":
        estimate = _ESTIMATE.search(instruction.attributes)
        flops = float(estimate[1]) if estimate else 0.0
        return Flops(flops, flops)
    return Flops()


def _is_rest_of_collective(fused: Computation) -> bool:
    """Returns whether a fusion only starts or ends an asynchronous collective."""
    return any(
        "AsyncCollective" in instruction.attributes
        for instruction in fused.instructions.values()
        if instruction.opcode == "custom-call" and instruction.is_root
    )


def _reduction(
    program: Program, computation: Computation, instruction: Instruction
) -> float:
    each = _flops_of_applied(program, instruction)
    before = computation.operands(instruction)[0].shapes[0].num_elements
    after = instruction.shapes[0].num_elements
    if instruction.opcode == "reduce":
        return each * (before - after)
    if instruction.opcode == "reduce-window":
        # The compiler for TPUs writes a reduction with a broadcast result as a window
        # over the whole array: it is computed once.
        window = _WINDOW.search(instruction.attributes)
        sizes = _window_fields(window[1] if window else "").get("size", [1])
        return each * min(after * (math.prod(sizes) - 1), before)
    return each * before


def _flops_of_applied(program: Program, instruction: Instruction) -> float:
    """Returns the operations of one run of the function that a reduction applies."""
    applied = program.computations[instruction.called["to_apply"]]
    inner = applied.instructions.values()
    return sum(flops_of(program, applied, i).total for i in inner)


def _dot(computation: Computation, instruction: Instruction) -> float:
    left = computation.operands(instruction)[0].shapes[0]
    dims = dict(_DIMENSIONS.findall(instruction.attributes))["lhs"]
    contracted = math.prod(left.dimensions[int(d)] for d in dims.split(",") if d)
    return 2.0 * instruction.shapes[0].num_elements * contracted


def _convolution(computation: Computation, instruction: Instruction) -> float:
    """Returns the multiplications and additions without those of padding and holes.

    The compiler for TPUs writes matrix products as convolutions, and those of batches
    with windows that are mostly padding.
    """
    labels = _LABELS.search(instruction.attributes)
    if labels is None:
        raise ProgramError(f"a convolution without dim_labels: {instruction.name}")
    left, right = computation.operands(instruction)
    sizes: dict[str, dict[str, int]] = {
        side: dict(zip(text, shape.dimensions, strict=True))
        for side, text, shape in (
            ("left", labels[1], left.shapes[0]),
            ("right", labels[2], right.shapes[0]),
            ("out", labels[3], instruction.shapes[0]),
        )
    }
    window = _WINDOW.search(instruction.attributes)
    fields = _window_fields(window[1] if window else "")
    pairs = 1
    for index in range(len(labels[1]) - 2):
        label = str(index)
        here = {name: values[index] for name, values in fields.items()}
        pairs *= _valid_pairs(sizes["left"][label], sizes["out"][label], here)
    groups = {name: int(n) for name, n in _GROUPS.findall(instruction.attributes)}
    features = sizes["left"]["f"] // groups.get("feature", 1)
    batch = sizes["left"]["b"] // groups.get("batch", 1)
    return 2.0 * features * sizes["out"]["f"] * batch * pairs


def _window_fields(text: str) -> dict[str, list[int]]:
    """`size=2x3 pad=0_0x1_1` as `size: [2, 3]`, `pad: [0, 1]`: the low padding."""
    fields = (item.split("=") for item in text.split())
    return {
        name: [int(number.split("_")[0]) for number in value.split("x")]
        for name, value in fields
    }


def _valid_pairs(num_inputs: int, num_outputs: int, window: Mapping[str, int]) -> int:
    """Returns the number of pairs of output and window position that read an input."""
    stride, low = window.get("stride", 1), window.get("pad", 0)
    spread, holes = window.get("rhs_dilate", 1), window.get("lhs_dilate", 1)
    size = window.get("size", 1)
    pairs = 0
    for position in range(size):
        # Outputs o with 0 <= o * stride + shift = holes * input <= the last input.
        shift = position * spread - low
        cycle = holes // math.gcd(stride, holes)
        last = (num_inputs - 1) * holes
        first_output = max(0, math.ceil(-shift / stride))
        last_output = min(num_outputs - 1, (last - shift) // stride)
        for residue in range(first_output, min(first_output + cycle, last_output + 1)):
            if (residue * stride + shift) % holes == 0:
                pairs += (last_output - residue) // cycle + 1
                break
    return pairs
