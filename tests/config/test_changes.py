"""What may change when trained parameters are used further."""

import dataclasses

import pytest
from tiny_runs import tiny_config

from transformer_jax.config.changes import changes_of_model, changes_of_run
from transformer_jax.config.model import ModelConfig

OTHER = {
    "vocab_size": 301, "target_vocab_size": 300, "num_encoder_layers": 3,
    "num_decoder_layers": 3, "d_model": 64, "d_ff": 65, "num_heads": 2, "d_k": 3,
    "d_v": 3, "norm": "pre", "activation": "gelu", "positions": "learned",
    "share_embeddings": "none", "attention_scale": 1.0,
    "norm_epsilon": 1e-5, "attention_bias": True, "output_bias": True,
}  # fmt: skip
COMPUTED = {"scan_unroll": 2, "remat": "layer", "attention_kernel": "xla"}
LEARNT = {
    "dropout_rate": 0.3, "attention_dropout_rate": 0.1, "activation_dropout_rate": 0.1,
    "attention_window": 5, "compute_dtype": "bfloat16", "max_length": 99,
}  # fmt: skip


def test_every_setting_of_the_model_is_of_one_kind():
    names = {field.name for field in dataclasses.fields(ModelConfig)}
    assert names == OTHER.keys() | COMPUTED.keys() | LEARNT.keys()


@pytest.mark.parametrize("name", OTHER | COMPUTED | LEARNT)
def test_only_what_fits_the_parameters_may_change(name):
    value = (OTHER | COMPUTED | LEARNT)[name]
    base = {"tokenizer__shared": False, "model__share_embeddings": "target"}
    old = tiny_config(**base)
    new = tiny_config(**{**base, f"model__{name}": value})
    before = getattr(old.model, name)
    said = [f"model.{name}: {before!r} -> {value!r}"]
    assert changes_of_model(old, new) == (said if name in OTHER else [])
    assert changes_of_run(old, new) == ([] if name in COMPUTED else said)


def test_other_sections():
    old = tiny_config()
    new = tiny_config(
        training__seed=3, training__label_smoothing=0.0, optimizer__beta1=0.5,
        data__source_language="fr", mesh__fsdp=2, decoding__beam_size=7,
        tokenizer__kind="unigram", treebank__leaf_symbol="XX",
    )  # fmt: skip
    for changes in changes_of_model(old, new), changes_of_run(old, new):
        assert changes == [
            "tokenizer.kind: 'bpe' -> 'unigram'",
            "treebank.leaf_symbol: None -> 'XX'",
        ]


def test_a_table_of_positions_keeps_its_length():
    changes = {"model__positions": "learned"}
    old = tiny_config(**changes)
    new = tiny_config(**changes, model__max_length=99)
    assert changes_of_model(old, new) == ["model.max_length: 1024 -> 99"]
