"""What a program costs, against XLA's own count, and against its loops unrolled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transformer_jax.cost.hlo.cost import program_cost, step_cost
from transformer_jax.cost.hlo.text import ProgramError

WIDTH, LAYERS = 128, 6


def array(*shape, dtype=jnp.float32, sharding=None):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile()


def cost_of(function, *arguments):
    return program_cost(compiled(function, *arguments).as_text())


def layer(x, weights):
    return x + jax.nn.softmax(jnp.tanh(x @ weights))


def stack(x, weights, unroll=1):
    def body(x, w):
        return layer(x, w), None

    return jax.lax.scan(body, x, weights, unroll=unroll)[0]


def gradient(x, weights, unroll=1):
    return jax.grad(lambda w, x: jnp.sum(stack(x, w, unroll)), (0, 1))(weights, x)


X, WEIGHTS = array(WIDTH, WIDTH), array(LAYERS, WIDTH, WIDTH)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (layer, (X, X)),
        (
            lambda x: (
                (x - x.mean(-1, keepdims=True))
                * jax.lax.rsqrt(x.var(-1, keepdims=True))
            ),
            (X,),
        ),
        (
            lambda q, k: jnp.einsum("blhd,bmhd->bhlm", q, k),
            (array(2, 32, 4, 16), array(2, 32, 4, 16)),
        ),
        (lambda x, w: stack(x, w, unroll=LAYERS), (X, WEIGHTS)),
        (lambda x, w: gradient(x, w, unroll=LAYERS), (X, WEIGHTS)),
    ],
)
def test_without_loops_xla_counts_the_same(function, arguments):
    program = compiled(function, *arguments)
    theirs, ours = program.cost_analysis(), program_cost(program.as_text())
    assert ours.flops == pytest.approx(theirs["flops"], rel=1e-3)
    assert ours.bytes_accessed == pytest.approx(theirs["bytes accessed"], rel=1e-3)


@pytest.mark.parametrize("function", [stack, gradient])
def test_a_loop_costs_what_its_body_costs_as_often_as_it_runs(function):
    loop = cost_of(lambda x, w: function(x, w), X, WEIGHTS)
    unrolled = cost_of(lambda x, w: function(x, w, LAYERS), X, WEIGHTS)
    products = LAYERS * (1 if function is stack else 3)
    assert loop.matmul_flops == unrolled.matmul_flops == products * 2 * WIDTH**3
    assert loop.flops == pytest.approx(unrolled.flops, rel=0.1)
    if function is stack:
        # The loop of a gradient also moves what it stores for its way back.
        assert loop.bytes_accessed == pytest.approx(unrolled.bytes_accessed, rel=0.1)


def test_loops_in_loops_multiply():
    def three_times(x, weights):
        return jax.lax.scan(lambda x, _: (stack(x, weights), None), x, length=3)[0]

    once, thrice = cost_of(stack, X, WEIGHTS), cost_of(three_times, X, WEIGHTS)
    assert thrice.matmul_flops == 3 * once.matmul_flops
    assert thrice.bytes_accessed == pytest.approx(3 * once.bytes_accessed, rel=0.05)


def test_a_slice_of_an_array_costs_the_slice():
    def sum_of_rows(table, rows):
        def body(total, row):
            return total + jax.lax.dynamic_index_in_dim(table, row, keepdims=False), ()

        return jax.lax.scan(body, jnp.zeros(table.shape[1]), rows)[0]

    table, rows = array(50_000, WIDTH), array(20, dtype=jnp.int32)
    bytes_of_row = 4 * WIDTH
    assert cost_of(sum_of_rows, table, rows).bytes_accessed < 20 * 8 * bytes_of_row
    gathered = cost_of(lambda table, rows: 2 * table[rows], table, rows)
    assert gathered.bytes_accessed < 20 * 8 * bytes_of_row


def test_a_loop_that_depends_on_data_is_refused():
    def doubled(x):
        return jax.lax.while_loop(lambda x: x < 100, lambda x: 2 * x, x)

    with pytest.raises(ValueError, match="trip count"):
        cost_of(doubled, array(dtype=jnp.int32))


def test_collectives_count_by_kind_and_by_trip():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))

    def spread(*axes):
        return NamedSharding(mesh, PartitionSpec(*axes))

    def total(x, weights):
        def body(x, w):
            # Rows over `a`, the contracted dimension over `b`: a sum over `b` a layer.
            return jax.lax.with_sharding_constraint(x @ w, spread("a", "b")), None

        return jax.lax.scan(body, x, weights)[0]

    x = array(WIDTH, WIDTH, sharding=spread("a", "b"))
    weights = array(LAYERS, WIDTH, WIDTH, sharding=spread(None, "b", None))
    cost = cost_of(total, x, weights)
    [collective] = cost.collectives
    assert collective.kind in ("all-reduce", "reduce-scatter")
    assert collective.times == LAYERS
    assert collective.groups == ((0, 1), (2, 3), (4, 5), (6, 7))
    part = 4 * (WIDTH // 4) * WIDTH
    assert cost.collective_bytes == {collective.kind: LAYERS * part}


def test_the_table_names_the_dearest_first():
    cost = cost_of(gradient, X, WEIGHTS)
    first, second, *_ = cost.table(top=3).splitlines()
    assert "GB" in first
    dearest = max(cost.operations, key=lambda operation: operation.bytes_accessed)
    assert dearest.op_name in second
    assert f" {dearest.times} " in second


def test_a_step_of_a_loop_that_depends_on_data_counts_once():
    weights, x = array(WIDTH, WIDTH), array(8, WIDTH)

    def loop(x, weights):
        return jax.lax.while_loop(
            lambda x: jnp.sum(x) < 1.0, lambda x: layer(x, weights), x @ weights
        )

    text = compiled(loop, x, weights).as_text()
    with pytest.raises(ProgramError, match="trip count"):
        program_cost(text)
    around, step = step_cost(text)
    assert around.matmul_flops == step.matmul_flops == 2 * 8 * WIDTH * WIDTH
    once = cost_of(layer, x, weights)
    assert once.flops < step.flops < once.flops + 2 * 8 * WIDTH  # And the sum.


def test_of_nested_loops_the_steps_are_those_in_their_scope():
    weights, x = array(WIDTH, WIDTH), array(8, WIDTH)

    def until(limit, body, x):
        return jax.lax.while_loop(lambda x: jnp.sum(x) < limit, body, x)

    def rounds(x, weights):
        def one(x):
            x = until(0.1, lambda x: jnp.tanh(x @ weights @ weights), x)
            with jax.named_scope("steps"):
                return until(0.5, lambda x: layer(x, weights), x)

        return until(1.0, one, x @ weights)

    around, step = step_cost(compiled(rounds, x, weights).as_text())
    assert around.matmul_flops == step.matmul_flops == 2 * 8 * WIDTH * WIDTH


def test_a_program_without_such_a_loop_has_no_steps():
    weights, x = array(WIDTH, WIDTH), array(8, WIDTH)
    with pytest.raises(ProgramError, match="0 loops"):
        step_cost(compiled(layer, x, weights).as_text())
