"""Steps compiled for TPUs that are not here."""

import importlib.util

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from transformer_jax.config.experiment import DataConfig, ExperimentConfig, MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.cost.hlo.cost import program_cost
from transformer_jax.cost.model_flops import training_flops
from transformer_jax.cost.plan import plan
from transformer_jax.cost.topology import topology_devices
from transformer_jax.errors import InputError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu, the compiler for TPUs, is not installed",
)


def tiny(mesh=None, **changes):
    model = {"compute_dtype": "bfloat16", "num_encoder_layers": 1, **changes}
    return ExperimentConfig(
        model=ModelConfig.tiny(num_decoder_layers=1, **model),
        data=DataConfig(source_length=32, target_length=32, batch_tokens=512),
        mesh=mesh or MeshConfig(),
    )


@pytest.mark.slow
def test_a_step_for_four_chips():
    config = tiny()
    found, cost = plan(config, "v5e:2x2")
    assert (found.num_chips, found.chip) == (4, "TPU v5e")
    assert found.mesh == {"data": 4, "fsdp": 1, "tensor": 1}
    assert found.model_flops == training_flops(config.model, 512, 512) / 4
    assert found.model_flops < found.matmul_flops < found.flops < 4 * found.model_flops
    # Every chip sums the gradients of all parameters over the others, and little else.
    num_parameters = 64 * 32 + 4 * 32 * 32 * 3 + 2 * (2 * 32 * 64 + 96) + 5 * 64
    [(kind, sent)] = found.collective_bytes.items()
    assert kind == "all-reduce"
    assert 0.5 < sent / (4 * num_parameters) < 2.5
    assert found.main_memory_bytes < found.bytes_accessed
    assert 12 * num_parameters < found.argument_bytes < found.total_bytes
    assert found.total_bytes < found.memory_bytes == 16 << 30
    assert set(found.roofline_seconds) == {"compute", "memory", "network"}
    least = found.roofline_seconds[found.bound_by]
    assert least == max(found.roofline_seconds.values())
    assert found.target_tokens_per_second_at_most == pytest.approx(512 / least)
    assert found.flops == cost.flops


@pytest.mark.slow
def test_a_spread_model_gathers_parameters_and_scatters_gradients():
    vocab_size = 4_096
    found, cost = plan(tiny(MeshConfig(fsdp=4), vocab_size=vocab_size), "v5e:2x2")
    assert found.mesh == {"data": 1, "fsdp": 4, "tensor": 1}
    # At most 12 projections and 4 products of feed-forward, forward and backward; the
    # matrix of the logits, and the tokens of both sides.
    gathers = [c for c in cost.collectives if c.kind == "all-gather"]
    assert sum(c.times for c in gathers) <= 2 * 16 + 1 + 2
    # The gradient of the shared matrix is scattered once, and never summed whole.
    matrix_bytes = 4 * vocab_size * 32
    assert found.collective_bytes["reduce-scatter"] < 1.5 * matrix_bytes
    assert found.collective_bytes["all-reduce"] < 0.5 * matrix_bytes


@pytest.mark.parametrize("unroll", [1, 4])
def test_loops_count_as_often_as_they_run(unroll):
    here = SingleDeviceSharding(topology_devices("v5e:1x1")[0])

    def stack(x, weights):
        def body(x, w):
            return jnp.tanh(x @ w), None

        return jax.lax.scan(body, x, weights, unroll=unroll)[0]

    def array(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=here)

    program = jax.jit(stack).lower(array(512, 256), array(4, 256, 256)).compile()
    theirs, ours = program.cost_analysis(), program_cost(program.as_text())
    assert ours.matmul_flops == 4 * 2 * 512 * 256 * 256
    if unroll == 4:  # Without a loop, XLA counts right.
        assert ours.flops == pytest.approx(theirs["flops"], rel=1e-3)
        assert ours.bytes_accessed == pytest.approx(theirs["bytes accessed"], rel=0.02)
    else:
        assert ours.flops > 3 * theirs["flops"]
    # Each of four products reads its factors and writes its result. Copies to memory
    # on the chip come on top, which XLA counts twice.
    products = 4 * 2 * (512 * 256 + 256 * 256 + 512 * 256)
    assert products <= ours.bytes_accessed < 3 * products


@pytest.mark.parametrize("topology", ["v5e:3x3", "v1:2x2", "v5e", "v5e:2x2x2"])
def test_a_topology_that_does_not_exist(topology):
    with pytest.raises(InputError, match=rf"topology={topology}.* v5e:4x4"):
        plan(tiny(), topology)


@pytest.mark.slow
def test_what_does_not_fit_is_refused():
    # Of 16 GiB the compiler keeps some. Parameters and moments alone are 23 GB.
    with pytest.raises(InputError, match=r"has 16\.9 GB for an update that needs 1"):
        plan(tiny(vocab_size=60_000_000), "v5e:1x1")
    with pytest.raises(InputError, match=r"must divide the number of devices, 4"):
        plan(tiny(MeshConfig(fsdp=3)), "v5e:2x2")
