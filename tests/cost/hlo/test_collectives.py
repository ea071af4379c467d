"""Who takes part in a collective, and how often one counts."""

import pytest

from transformer_jax.cost.hlo.cost import program_cost

# How a collective that runs beside other work is printed for TPUs: where it starts, in
# the fusion it runs beside, and where it ends.
BESIDE = """\
HloModule jit_step, is_scheduled=true

%starts (p.0: bf16[256]) -> (bf16[256], bf16[512], u32[]) {
  %p.0 = bf16[256]{0} parameter(0)
  %gather.0 = bf16[512]{0} all-gather(%p.0), channel_id=7, GROUPS, dimensions={0}, \
frontend_attributes={chain_id="0"}
  ROOT %begun = (bf16[256]{0}, bf16[512]{0}, u32[]) custom-call(%gather.0), \
custom_call_target="AsyncCollectiveStart"
}

%passes (p.1: bf16[256], p.2: f32[64]) -> (f32[64], bf16[512]) {
  %p.1 = bf16[256]{0} parameter(0)
  %p.2 = f32[64]{0} parameter(1)
  %gather.1 = bf16[512]{0} all-gather(%p.1), channel_id=7, GROUPS, dimensions={0}, \
frontend_attributes={chain_id="0"}
  %twice = f32[64]{0} add(%p.2, %p.2)
  ROOT %both = (f32[64]{0}, bf16[512]{0}) tuple(%twice, %gather.1)
}

%ends (p.3: bf16[256], p.4: bf16[512]) -> bf16[512] {
  %p.3 = bf16[256]{0} parameter(0)
  %p.4 = bf16[512]{0} parameter(1)
  %gather.2 = bf16[512]{0} all-gather(%p.3), channel_id=7, GROUPS, dimensions={0}, \
frontend_attributes={chain_id="0"}
  ROOT %done = bf16[512]{0} custom-call(%p.3, %p.4, %gather.2), \
custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (x: bf16[256], y: f32[64]) -> bf16[512] {
  %x = bf16[256]{0} parameter(0)
  %y = f32[64]{0} parameter(1)
  %start = (bf16[256]{0}, bf16[512]{0}, u32[]) fusion(%x), kind=kCustom, calls=%starts
  %sent = bf16[256]{0} get-tuple-element(%start), index=0
  %beside = (f32[64]{0}, bf16[512]{0}) fusion(%sent, %y), kind=kLoop, calls=%passes
  %room = bf16[512]{0} get-tuple-element(%beside), index=1
  ROOT %end = bf16[512]{0} fusion(%sent, %room), kind=kCustom, calls=%ends
}
"""


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ("replica_groups={{0,1},{2,3}}", ((0, 1), (2, 3))),
        ("replica_groups=[2,2]<=[4]", ((0, 1), (2, 3))),
        ("replica_groups=[2,2]<=[2,2]T(1,0)", ((0, 2), (1, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'b'}", ((0, 1), (2, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'a'}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'a','b'}", ((0, 1, 2, 3),)),
        ("replica_groups=mesh['a'=4] {'a':(2)2}", ((0, 1), (2, 3))),
        ("replica_groups=mesh['a'=4] {'a':(1)2}", ((0, 2), (1, 3))),
        ("replica_groups={}", ()),
    ],
)
def test_one_that_runs_beside_other_work_counts_once(written, groups):
    cost = program_cost(BESIDE.replace("GROUPS", written))
    [collective] = cost.collectives
    assert collective.groups == groups
    assert (collective.kind, collective.times) == ("all-gather", 1)
    assert cost.collective_bytes == {"all-gather": 2 * 256}
    assert collective.result_bytes == 2 * 512
    # What is sent and received, once, and what the addition reads and writes.
    assert cost.bytes_accessed == 2 * (256 + 512) + 4 * (64 + 64)
    assert cost.flops == 64


SLICES = """\
HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

ENTRY %main (x: f32[256]) -> f32[256] {
  %x = f32[256]{0} parameter(0)
  %after = token[] after-all()
  %part = f32[64]{0} reduce-scatter(%x), channel_id=1, replica_groups={{0,1,2,3}}, \
dimensions={0}, to_apply=%sum
  %send = (f32[64]{0}, u32[], token[]) send(%part, %after), channel_id=2, \
is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv = (f32[64]{0}, u32[], token[]) recv(%after), channel_id=1, \
is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}
  %sent = token[] send-done(%send), channel_id=2, is_host_transfer=true
  %got = (f32[64]{0}, token[]) recv-done(%recv), channel_id=1, is_host_transfer=true
  %total = f32[64]{0} get-tuple-element(%got), index=0
  ROOT %y = f32[256]{0} all-gather(%total), channel_id=1, replica_groups={{0,1,2,3}}, \
dimensions={0}
}
"""


def test_between_slices_hosts_take_what_chips_have_summed():
    cost = program_cost(SLICES)
    assert cost.collective_bytes == {
        "all-gather": 4 * 64,  # Though it has the channel of the other one.
        "reduce-scatter": 4 * 256,
        "slices-all-reduce": 4 * 64,
    }
    within, across = 4 * (256 + 64), 4 * (64 + 64)
    assert cost.bytes_accessed == 2 * within + across
