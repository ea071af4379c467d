"""Steps of search compiled for TPUs that are not here."""

import dataclasses
import importlib.util

import pytest

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.cost.search_plan import plan_search
from transformer_jax.errors import InputError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu, the compiler for TPUs, is not installed",
)
CONFIG = ExperimentConfig(
    model=ModelConfig.tiny(
        vocab_size=512,
        compute_dtype="bfloat16",
        num_encoder_layers=1,
        num_decoder_layers=1,
    ),
    decoding=DecodingConfig(batch_tokens=512),
)


@pytest.mark.slow
def test_the_selection_of_tokens_copies_no_logits():
    """With the paper's vocabulary, where a chunk could be longer than a tile."""
    model = dataclasses.replace(CONFIG.model, vocab_size=37_000)
    decoding = DecodingConfig(batch_tokens=256 * 32)
    config = CONFIG.replace(model=model, decoding=decoding)
    _, cost = plan_search(config, "v5e:1x1", 256)
    logits = 4 * 256 * 4 * model.vocab_size
    assert max(each.bytes_accessed for each in cost.operations) > logits
    copies = [each for each in cost.operations if each.opcode == "copy"]
    assert all(each.main_memory_bytes < logits / 4 for each in copies)


@pytest.mark.slow
def test_a_step_of_search():
    found, cost = plan_search(CONFIG, "v5e:1x1", 16)
    model, rows = CONFIG.model, 16 * 4
    width = slots = 32
    assert (found.num_chips, found.sentences, found.beam_size) == (1, 16, 4)
    assert (found.source_tokens, found.slots) == (width, slots)
    # Keys and values, in bfloat16.
    heads = model.num_heads * model.key_size
    assert found.cache_bytes == pytest.approx(
        2 * 2 * 16 * heads * (4 * slots + width), rel=0.05
    )
    # Every hypothesis reads every weight in a product, but the keys and values of the
    # source; and all that the hypotheses of its sentence have written.
    weights = 6 * model.d_model**2 + 2 * model.d_model * model.d_ff
    weights += model.vocab_size * model.d_model
    products = 2 * rows * (weights + 2 * heads * (4 * slots + width))
    assert found.matmul_flops == cost.matmul_flops == pytest.approx(products, rel=0.02)
    assert found.least_bytes == found.weight_bytes + found.cache_bytes
    assert 2 * weights <= found.weight_bytes < 4 * weights
    assert found.main_memory_bytes_of_call > 0
    assert found.collective_bytes == {}
    assert found.roofline_seconds["memory"] <= found.schedule_seconds


def test_sentences_that_do_not_fit():
    for sentences, expected in ((0, "at least 1"), (17, "at most 16")):
        with pytest.raises(InputError, match=rf"sentences={sentences}.*{expected}"):
            plan_search(CONFIG, "v5e:1x1", sentences)
