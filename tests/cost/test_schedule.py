"""What a schedule hides of the network, counted by hand."""

import pytest

from transformer_jax.cost.schedule import Rates, schedule_of

# A product of 2 * 64 * 64 * 64 operations, 1.0 s; collectives take 1 s for 64 bytes.
RATES = Rates(
    matmul_flops=2.0 * 64**3,
    memory_bytes=1e12,
    network_seconds=lambda collective: collective.total_bytes / 64,
)
PROGRAM = """\
HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}}

%body (t: (s32[], f32[64,64], f32[SIZE])) -> (s32[], f32[64,64], f32[SIZE]) {{
  %t = (s32[], f32[64,64]{{1,0}}, f32[SIZE]{{0}}) parameter(0)
  %n = s32[] get-tuple-element(%t), index=0
  %x = f32[64,64]{{1,0}} get-tuple-element(%t), index=1
  %g = f32[SIZE]{{0}} get-tuple-element(%t), index=2
  %one = s32[] constant(1)
  %next = s32[] add(%n, %one)
{steps}
  ROOT %r = (s32[], f32[64,64]{{1,0}}, f32[SIZE]{{0}}) tuple(%next, %y, %h)
}}

%condition (u: (s32[], f32[64,64], f32[SIZE])) -> pred[] {{
  %u = (s32[], f32[64,64]{{1,0}}, f32[SIZE]{{0}}) parameter(0)
  %m = s32[] get-tuple-element(%u), index=0
  %last = s32[] constant(3)
  ROOT %less = pred[] compare(%m, %last), direction=LT
}}

ENTRY %main (x0: f32[64,64], g0: f32[SIZE]) -> f32[64,64] {{
  %x0 = f32[64,64]{{1,0}} parameter(0)
  %g0 = f32[SIZE]{{0}} parameter(1)
  %zero = s32[] constant(0)
  %begin = (s32[], f32[64,64]{{1,0}}, f32[SIZE]{{0}}) tuple(%zero, %x0, %g0)
  %loop = (s32[], f32[64,64]{{1,0}}, f32[SIZE]{{0}}) while(%begin), \
condition=%condition, body=%body
  ROOT %out = f32[64,64]{{1,0}} get-tuple-element(%loop), index=1
}}
"""
PRODUCT = """\
  %y = f32[64,64]{1,0} dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}\
"""
START = """\
  %s = f32[SIZE]{0} all-reduce-start(%g), replica_groups={{0,1}}, to_apply=%sum\
"""
DONE = "  %h = f32[SIZE]{0} all-reduce-done(%s)"
AT_ONCE = "  %h = f32[SIZE]{0} all-reduce(%g), replica_groups={{0,1}}, to_apply=%sum"


@pytest.mark.parametrize(
    ("steps", "size", "seconds", "exposed"),
    [
        ((START, PRODUCT, DONE), 8, 1.0, 0.0),  # Half a second beside one.
        ((START, PRODUCT, DONE), 48, 3.0, 2.0),  # Three seconds beside one.
        ((START, DONE, PRODUCT), 48, 4.0, 3.0),  # Nothing beside it.
        ((AT_ONCE, PRODUCT), 48, 4.0, 3.0),
    ],
)
def test_what_runs_beside_a_collective_hides_it(steps, size, seconds, exposed):
    text = PROGRAM.format(steps="\n".join(steps)).replace("SIZE", str(size))
    found = schedule_of(text, RATES)
    # Three turns of the loop.
    assert found.seconds == pytest.approx(3 * seconds, rel=1e-3)
    assert found.exposed_network_seconds == pytest.approx(3 * exposed, rel=1e-3)
    assert found.network_seconds == pytest.approx(3 * size * 4 / 64)
