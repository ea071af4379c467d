"""The text of a compiled program, changed at random, has a cost or is refused."""

import functools

import jax
import jax.numpy as jnp
import pytest
from any_text import outcome
from hypothesis import given
from hypothesis import strategies as st

from transformer_jax.cost.hlo.cost import program_cost
from transformer_jax.cost.hlo.text import ProgramError

TPU_LINES = """\
ENTRY %other (x: bf16[6,100,3]) -> bf16[6,100,3] {
  %c = f32[8,4]{1,0:T(8,128)} convolution(%a, %b), window={size=3 pad=1_1}, \
dim_labels=b0f_0io->b0f
  %g = f32[8]{0} all-gather-start(%a), replica_groups=[2,2]<=[4], dimensions={0}
  %r = f32[8]{0} all-reduce(%a), replica_groups=mesh['x'=2,'y'=4] {'y'}, to_apply=%add
  %s = (f32[8], u32[], token[]) send(%a, %t), _xla_megascale_transfer_type="ALL_REDUCE"
  %z = f32[2]{0} custom-call(%a), custom_call_target="AsyncCollectiveStart"
  %d = f32[8]{0} slice-start(%a), slice={[0:1]}
}
""".splitlines()
ODDITIES = (
    "", "%", "(", ")", "{", "}", ",", "=", " = ", "->", "ENTRY ", "ROOT ", "%x", "0",
    "-1",
    "9" * 30, "s32[]", "f32[9999999999]", "f32[a]", "f32[-1]", "{1,0}", "{7}", "size=",
    "size=99999999999", "size=axb", "index=9", "calls=%x", "body=", "to_apply=%add",
    "direction=GT", "known_trip_count", "\x00", "\u2028", "T(8,128)", "T(0)", "S(1)",
    "[2,2]<=[4]T(5)", "[3]<=[99999999999999]", "replica_groups={{0,1}}",
)  # fmt: skip


@functools.cache
def real_text():
    """A program with a loop, a branch, products, reductions, slices and a scatter."""

    def step(x, i):
        x = jax.lax.fori_loop(0, 3, lambda k, y: jnp.tanh(y @ y) + k, x)
        x = jax.lax.cond(i > 0, lambda y: jnp.sort(y), lambda y: y.at[i].add(1.0), x)
        y = jax.lax.dynamic_update_slice(x, x[:2, :2], (i, i))
        return jax.lax.while_loop(lambda c: c.sum() < 0, lambda c: c * 2, y[:, ::2]), (
            jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 2), (1, 1), "SAME")
        )

    shape = jax.ShapeDtypeStruct((8, 8), jnp.float32), jax.ShapeDtypeStruct((), "int32")
    text = jax.jit(step).lower(*shape).compile().as_text()
    # Loops whose trip count is told by data are refused: here it is written.
    return text.replace("body=", 'backend_config={"known_trip_count":{"n":"3"}}, body=')


def change(lines, data):
    """One change of the lines, as damage or another version of a compiler makes it."""
    at = data.draw(st.integers(0, max(len(lines) - 1, 0)))
    to = data.draw(st.integers(at, min(at + 8, len(lines))))
    kind = data.draw(
        st.sampled_from(
            ["delete", "double", "shuffle", "cut", "insert", "foreign", "swap names"]
        )
    )
    line = lines[at] if lines else ""
    place = data.draw(st.integers(0, len(line)))
    if kind == "delete":
        return lines[:at] + lines[to:]
    if kind == "double":
        return lines[:to] + lines[at:to] + lines[to:]
    if kind == "shuffle":
        return lines[:at] + data.draw(st.permutations(lines[at:to])) + lines[to:]
    if kind == "cut":
        return [*lines[:at], line[:place]]
    if kind == "foreign":
        return [*lines[:at], data.draw(st.sampled_from(TPU_LINES)), *lines[at:]]
    if kind == "swap names":
        words = sorted({word for other in lines[at:to] for word in other.split()})
        if len(words) < 2:
            return lines
        one, other = (data.draw(st.sampled_from(words)) for _ in range(2))
        return [
            *lines[:at],
            *(x.replace(one, other) for x in lines[at:to]),
            *lines[to:],
        ]
    end = data.draw(st.integers(place, min(place + 6, len(line))))
    new = data.draw(st.sampled_from(ODDITIES) | st.text(max_size=3))
    return [*lines[:at], line[:place] + new + line[end:], *lines[at + 1 :]]


def test_the_text_that_is_changed_has_a_cost():
    assert program_cost(real_text()).matmul_flops == 3 * 2 * 8**3


@given(st.integers(1, 4), st.data())
def test_any_change_of_a_program_is_counted_or_refused(number, data):
    lines = real_text().splitlines()
    for _ in range(number):
        lines = change(lines, data)
    cost = outcome(program_cost, "\n".join(lines), kind=ProgramError)
    if isinstance(cost, ProgramError):
        return
    assert cost.flops >= 0
    assert cost.bytes_accessed >= cost.main_memory_bytes >= 0
    assert isinstance(cost.table(), str)
    assert all(bytes_sent >= 0 for bytes_sent in cost.collective_bytes.values())


@given(st.text() | st.lists(st.sampled_from([*TPU_LINES, *ODDITIES])).map("\n".join))
def test_any_text_is_no_program(text):
    outcome(program_cost, text, kind=ProgramError)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  %x = f32[2] copy(%y)", "%x of %main needs %y, which is not before it"),
        ("  %x = f32[2] copy(%x)", "%x of %main needs %x, which is not before it"),
        ("  %x = f32[2] fusion(), calls=%main", "needs %main, which is not before it"),
        ("  %x = f32[2] fusion(), calls=%f", "needs %f, which is not before it"),
        ("  %x = f32[2] copy(", "cannot be read .*parentheses do not match"),
        ("  %x = f32[2]", "cannot be read .*%x = f32"),
        ("  %x = f32[2] constant(0)", "%main has 0 ROOTs, not one"),
        ("  ROOT %x = f32[2] dot()", "contradicts itself"),
    ],
)
def test_what_does_not_fit_together_is_named(line, expected):
    text = f"ENTRY %main (p: f32[2]) -> f32[2] {{\n{line}\n}}\n"
    with pytest.raises(ProgramError, match=expected):
        program_cost(text)
