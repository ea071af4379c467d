"""Runs whose SentencePiece model has no padding, as its default training makes them."""

import io
import json

import pytest
import sentencepiece
from tiny_runs import one_layer_config, reversed_pairs

import transformer_jax as tj

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("safetensors")

from transformer_jax.interop.marian_program import MarianProgram  # noqa: E402
from transformer_jax.interop.parity import compare_padding  # noqa: E402

TEXTS = ["ba", "ba be bi bo mu ka"]


def tokenizer_without_padding(**options):
    written = io.BytesIO()
    lines = [source for source, _ in reversed_pairs(200)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=40,
        minloglevel=2, hard_vocab_limit=False, **options,
    )  # fmt: skip
    return tj.Tokenizer(written.getvalue(), written.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"unk_piece": "UNK", "bos_piece": "BOS", "eos_piece": "EOS"},
        {"bos_id": -1, "eos_id": 1},
    ],
    ids=["default", "names", "no_begin"],
)
def test_a_run_without_padding_is_exported_and_comes_back(
    options, tmp_path, random_params
):
    own = tokenizer_without_padding(**options)
    size = own.source_vocab_size
    config = one_layer_config(model__vocab_size=size)
    params = random_params(config.model)
    saved = tj.save_checkpoint(tmp_path / "saved", params, config, own)
    out = tj.export_model(saved, tmp_path / "out", compare=False).directory

    theirs = transformers.MarianTokenizer.from_pretrained(out)
    batch = theirs(TEXTS, padding=True, return_tensors="np")
    assert batch.input_ids.max() < size
    assert theirs.pad_token_id == own.pad_id == own.eos_id
    for row, real, text in zip(
        batch.input_ids, batch.attention_mask.astype(bool), TEXTS, strict=True
    ):
        assert [row[real].tolist()] == own.encode_source([text])

    again = tj.import_model(out, tmp_path / "again", compare=False).directory
    found = tj.load_checkpoint(again).tokenizer
    for name in ("pad_id", "bos_id", "eos_id", "unk_id"):
        assert getattr(found, name) == getattr(own, name)
    assert found.encode_source(TEXTS) == own.encode_source(TEXTS)

    translator = tj.Translator(config, params, own)
    compared = compare_padding(translator, MarianProgram(out), TEXTS)
    assert compared == tj.Comparison(compared=2, equal=2)
    # Padding beyond the embeddings, which is what a missing name becomes.
    file = out / "tokenizer_config.json"
    values = {**json.loads(file.read_text()), "pad_token": "<none>"}
    file.write_text(json.dumps(values))
    compared = compare_padding(translator, MarianProgram(out), TEXTS)
    assert compared == tj.Comparison(compared=2, equal=1)
