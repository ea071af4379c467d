"""The text of a program for TPUs, where layouts, memories and loops say more."""

import pytest

from transformer_jax.cost.hlo.cost import program_cost
from transformer_jax.cost.hlo.text import parse_program

TEXT = """\
HloModule jit_step, is_scheduled=true

%fused (p.0: bf16[6,100,3], p.1: s32[]) -> bf16[100,3] {
  %p.0 = bf16[6,100,3]{2,1,0:T(8,128)(2,1)} parameter(0)
  %p.1 = s32[]{:T(128)} parameter(1)
  %zero.1 = s32[]{:T(128)} constant(0)
  %slice.1 = bf16[1,100,3]{2,1,0:T(8,128)(2,1)} dynamic-slice(%p.0, %p.1, %zero.1, \
%zero.1), dynamic_slice_sizes={1,100,3}
  ROOT %out = bf16[100,3]{1,0:T(8,128)(2,1)S(1)} bitcast(%slice.1)
}

%body (t: (s32[], bf16[6,100,3], s32[])) -> (s32[], bf16[6,100,3], s32[]) {
  %t = (s32[]{:T(128)}, bf16[6,100,3]{2,1,0:T(8,128)(2,1)}, /*index=2*/s32[]) \
parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%t), index=0
  %one = s32[]{:T(128)} constant(1)
  %w = bf16[6,100,3]{2,1,0:T(8,128)(2,1)} get-tuple-element(%t), index=1
  %n = s32[] get-tuple-element(%t), index=2
  %f = bf16[100,3]{1,0:T(8,128)(2,1)S(1)} fusion(%w, %i), kind=kLoop, calls=%fused, \
metadata={op_name="jit(step)/while/body/read" stack_frame_id=7}
  %next = s32[]{:T(128)} add(%i, %one)
  ROOT %r = (s32[]{:T(128)}, bf16[6,100,3]{2,1,0:T(8,128)(2,1)}, s32[]) \
tuple(%next, %w, %n)
}

%condition (c: (s32[], bf16[6,100,3], s32[])) -> pred[] {
  %c = (s32[]{:T(128)}, bf16[6,100,3]{2,1,0:T(8,128)(2,1)}, s32[]) parameter(0)
  %k = s32[]{:T(128)} get-tuple-element(%c), index=0
  %limit = s32[] get-tuple-element(%c), index=2
  ROOT %less = pred[]{:T(512)} compare(%k, %limit), direction=LT
}

ENTRY %main (x: bf16[6,100,3]) -> bf16[6,100,3] {
  %x = bf16[6,100,3]{2,1,0:T(8,128)(2,1)} parameter(0)
  %first = s32[]{:T(128)} constant(2)
  %copied = s32[]{:T(128)} copy(%first)
  %last = s32[] constant(6)
  %start = (s32[]{:T(128)}, bf16[6,100,3]{2,1,0:T(8,128)(2,1)}, s32[]) \
tuple(%copied, %x, %last)
  %loop = (s32[]{:T(128)}, bf16[6,100,3]{2,1,0:T(8,128)(2,1)}, s32[]) while(%start), \
condition=%condition, body=%body
  ROOT %y = bf16[6,100,3]{2,1,0:T(8,128)(2,1)} get-tuple-element(%loop), index=1
}
"""


def test_shapes_with_their_layout_and_memory():
    program = parse_program(TEXT)
    assert program.entry == "main"
    [read] = [
        i for i in program.computations["body"].instructions.values()
        if i.opcode == "fusion"
    ]  # fmt: skip
    [shape] = read.shapes
    assert (shape.dtype, shape.dimensions, shape.memory_space) == ("bf16", (100, 3), 1)
    assert shape.num_elements == 300
    # 100 is padded to a multiple of 8, 3 to one of 128.
    assert shape.num_bytes == 2 * 104 * 128
    assert read.operands == ("w", "i")
    assert read.called == {"calls": "fused"}
    assert read.op_name == "jit(step)/while/body/read"
    assert program.computations["fused"].root.name == "out"
    start = program.computations["main"].instructions["start"]
    assert [s.dimensions for s in start.shapes] == [(), (6, 100, 3), ()]


def test_a_loop_is_counted_from_where_its_counter_starts_to_its_limit():
    cost = program_cost(TEXT)
    [read] = [o for o in cost.operations if o.opcode == "fusion"]
    assert read.times == 6 - 2
    part = 2 * 104 * 128
    # A slice is read from main memory, and the counter; the result stays on the chip.
    assert read.main_memory_bytes == 4 * (part + 4 * 128)
    assert read.bytes_accessed == 4 * (2 * part + 4 * 128)


def test_what_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        parse_program("module @jit_step {\n}\n")
