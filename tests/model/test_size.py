"""Parameter counts against a formula of our own, and the last column of Table 3."""

import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.size import parameter_counts

# Settings that are not the base model's, and millions of parameters by formula. Row E
# has two tables of 1,024 positions more.
TABLE_3 = {
    "base": ({}, 63.05),
    "A1": ({"num_heads": 1, "d_k": 512, "d_v": 512}, 63.05),
    "A2": ({"num_heads": 4, "d_k": 128, "d_v": 128}, 63.05),
    "A3": ({"num_heads": 16, "d_k": 32, "d_v": 32}, 63.05),
    "A4": ({"num_heads": 32, "d_k": 16, "d_v": 16}, 63.05),
    "B1": ({"d_k": 16}, 55.97),
    "B2": ({"d_k": 32}, 58.33),
    "C1": ({"num_encoder_layers": 2, "num_decoder_layers": 2}, 33.64),
    "C2": ({"num_encoder_layers": 4, "num_decoder_layers": 4}, 48.35),
    "C3": ({"num_encoder_layers": 8, "num_decoder_layers": 8}, 77.75),
    "C4": ({"d_model": 256, "d_k": 32, "d_v": 32}, 26.82),
    "C5": ({"d_model": 1024, "d_k": 128, "d_v": 128}, 163.82),
    "C6": ({"d_ff": 1024}, 50.45),
    "C7": ({"d_ff": 4096}, 88.24),
    "D1": ({"dropout_rate": 0.0}, 63.05),
    "E": ({"positions": "learned"}, 64.09),
    "big": ({"d_model": 1024, "d_ff": 4096, "num_heads": 16}, 214.17),
}
BASE = {
    "vocab_size": 37_000, "num_encoder_layers": 6, "num_decoder_layers": 6,
    "d_model": 512, "d_ff": 2048, "num_heads": 8, "positions": "sinusoidal",
}  # fmt: skip


def by_formula(row):
    """Attention without biases, feed-forward with, LayerNorm with scale and bias."""
    settings = {**BASE, **row}
    d_model, d_ff, heads = settings["d_model"], settings["d_ff"], settings["num_heads"]
    d_k, d_v = row.get("d_k", d_model // heads), row.get("d_v", d_model // heads)
    attention = 2 * d_model * heads * d_k + 2 * d_model * heads * d_v
    feed_forward = d_model * d_ff + d_ff + d_ff * d_model + d_model
    norm = 2 * d_model
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    learned = settings["positions"] == "learned"
    return (
        settings["vocab_size"] * d_model
        + settings["num_encoder_layers"] * encoder_layer
        + settings["num_decoder_layers"] * decoder_layer
        + learned * 2 * 1024 * d_model
    )


@pytest.mark.parametrize("row", TABLE_3)
def test_parameter_counts_of_table_3(row):
    settings, millions = TABLE_3[row]
    make = ModelConfig.big if row == "big" else ModelConfig.base
    changes = {} if row == "big" else settings
    count = sum(parameter_counts(make(**changes)).values())
    assert count == by_formula(settings)
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_separate_matrices_are_counted_separately():
    rows = {"vocab_size": 1_000, "target_vocab_size": 700}
    target = parameter_counts(ModelConfig.base(share_embeddings="target", **rows))
    none = parameter_counts(ModelConfig.base(share_embeddings="none", **rows))
    assert target["source_embedding"] == 1_000 * 512
    assert target["target_embedding"] == 700 * 512
    assert sum(none.values()) - sum(target.values()) == 700 * 512


def test_the_biases_of_marian_are_counted():
    biases = {"attention_bias": True, "output_bias": True}
    plain = parameter_counts(ModelConfig.base(vocab_size=1_000))
    found = parameter_counts(ModelConfig.base(vocab_size=1_000, **biases))
    assert found.pop("output_bias") == 1_000
    # Four projections of an attention; 6 encoder layers have one, 6 decoder layers two.
    assert sum(found.values()) - sum(plain.values()) == 4 * 512 * (6 + 12)
