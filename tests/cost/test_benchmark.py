"""What is measured on this machine: that numbers fit each other, not how large."""

import functools

import jax
import numpy as np
import pytest
from tiny_runs import one_layer_config, tiny_config

from transformer_jax.cost.benchmark import benchmark
from transformer_jax.cost.model_flops import training_flops
from transformer_jax.data.made_up import made_up_corpus
from transformer_jax.data.pipeline import pack_corpus
from transformer_jax.errors import InputError


@functools.cache
def measured():
    return benchmark(one_layer_config(), num_steps=6, warmup_steps=1)


@pytest.mark.slow
def test_numbers_fit_each_other():
    config, found = one_layer_config(), measured()
    assert (found.device, found.num_devices, found.num_steps) == ("cpu", 8, 6)
    assert found.mesh == {"data": 8, "fsdp": 1, "tensor": 1}
    assert found.compiles_while_measured == 0
    assert found.compile_seconds > found.step_seconds > 0
    # Rates are of the same seconds: they relate as the tokens do.
    tokens = found.source_tokens_per_second + found.target_tokens_per_second
    slots_a_second = tokens / found.fill
    slots = config.data.rows * (config.data.source_length + config.data.target_length)
    seconds = slots / slots_a_second
    assert 0.2 < found.step_seconds / seconds < 5
    flops = training_flops(
        config.model,
        round(1e3 * found.source_tokens_per_second),
        round(1e3 * found.target_tokens_per_second),
    )
    assert found.tflops_per_second == pytest.approx(flops / 1e15, rel=1e-3)
    assert found.fraction_of_peak == pytest.approx(
        found.tflops_per_second / found.peak_tflops_per_second
    )
    assert 0 < found.fraction_of_peak < 1
    assert "timed here" in found.peak_source
    assert found.peak_memory_bytes > 50 << 20
    assert found.peak_memory_source == "resident set of this process"


@pytest.mark.slow
def test_fill_is_that_of_the_packed_rows():
    config = one_layer_config()
    corpus = made_up_corpus(config.model, config.data)
    packed = pack_corpus(corpus, config.data, seed=0)
    length = config.data.source_length + config.data.target_length
    real = corpus.source_lengths.sum() + corpus.target_lengths.sum()
    assert measured().fill == pytest.approx(real / (packed.num_rows * length), abs=0.03)
    assert measured().data == "made up"


def test_made_up_sentences_are_spread_as_sentences_are():
    lengths = {"data__source_length": 256, "data__target_length": 256}
    config = tiny_config(**lengths, data__batch_tokens=8 * 256)
    corpus = made_up_corpus(config.model, config.data)
    assert 24 < np.median(corpus.target_lengths) < 32
    assert np.corrcoef(corpus.source_lengths, corpus.target_lengths)[0, 1] > 0.7
    assert corpus.source.tokens.max() < config.model.vocab_size


def test_rows_that_devices_cannot_share():
    with pytest.raises(InputError, match=f"{jax.device_count()} devices"):
        benchmark(tiny_config(data__batch_tokens=24))
