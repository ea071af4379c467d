"""Marian's own files, with CTranslate2's converter as the other reader of them."""

import dataclasses

import numpy as np
import pytest
from tiny_npz import D_MODEL, write_npz_directory
from tiny_runs import reversed_pairs

import transformer_jax as tj
from transformer_jax.interop.marian_directory import (
    converted_program,
    read_marian_directory,
    read_vocabulary,
)
from transformer_jax.interop.marian_npz import PAD_LOGIT, marian_positions

pytest.importorskip("ctranslate2")
PAIRS = reversed_pairs(5)
VARIANTS = {
    "opus": {},
    "pre": {
        "embeddings": "target", "transformer_preprocess": "n",
        "transformer_postprocess": "da", "transformer_postprocess_top": "n",
        "transformer_ffn_activation": "relu",
    },
    "separate": {"embeddings": "none", "dec_depth": 2},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_as_probable_as_in_what_the_converter_makes(variant, tmp_path):
    write_npz_directory(tmp_path / "m", **VARIANTS[variant])
    config, params, tokenizer, notes = read_marian_directory(tmp_path / "m")
    assert notes == ()
    expected = {"opus": "all", "pre": "target", "separate": "none"}[variant]
    assert config.model.share_embeddings == expected
    assert config.decoding.length_penalty_alpha == 1
    assert config.decoding.beam_size == 3
    assert (tokenizer.eos_id, tokenizer.unk_id) == (0, 1)
    sources = tokenizer.encode_source([source for source, _ in PAIRS])
    targets = tokenizer.encode_target([target for _, target in PAIRS])
    program = converted_program(tmp_path / "m", tokenizer)
    # CTranslate2 has this number in the place of Marian's 1e-6.
    theirs = config.replace(model=dataclasses.replace(config.model, norm_epsilon=1e-5))
    translator = tj.Translator(theirs, params, tokenizer)
    scores = tj.score_tokens(translator, sources, targets)
    found = program.token_log_probs(sources, targets)
    for ours, other in zip(scores, found, strict=True):
        np.testing.assert_allclose(ours.token_log_probs, other, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_an_imported_model_translates_like_any_other(tmp_path):
    write_npz_directory(tmp_path / "m")
    sample = tmp_path / "sample"
    sample.write_text("".join(f"{source}\n" for source, _ in PAIRS))
    done = tj.import_model(tmp_path / "m", tmp_path / "run", sample=sample)
    assert done.parity.difference is None
    assert done.parity.greedy.equal == len(PAIRS)
    translator = tj.Translator.from_checkpoint(tmp_path / "run")
    pad = translator.tokenizer.pad_id
    assert translator.params["output_bias"]["bias"][pad] == PAD_LOGIT
    assert not np.any(translator.params["embedding"]["matrix"][pad])
    assert len(translator.translate([source for source, _ in PAIRS])) == len(PAIRS)


def test_positions_of_its_own_are_those_of_its_source(tmp_path):
    arrays = write_npz_directory(tmp_path / "m")
    config, params, *_ = read_marian_directory(tmp_path / "m", own_positions=True)
    table = np.asarray(params["source_position"]["table"])
    assert table.shape == (config.model.max_length, D_MODEL)
    for position, i in ((0, 0), (5, 3), (7, D_MODEL // 2 - 1)):
        angle = position * np.exp(-i * np.log(10_000) / (D_MODEL / 2 - 1))
        np.testing.assert_allclose(table[position, 2 * i], np.sin(angle), atol=1e-6)
        np.testing.assert_allclose(table[position, 2 * i + 1], np.cos(angle), atol=1e-6)
    paper = read_marian_directory(tmp_path / "m")[1]
    assert "source_position" not in paper
    # The features stand in the same order in both.
    first = np.asarray(paper["embedding"]["matrix"])[3]
    np.testing.assert_array_equal(first[::2], arrays["Wemb"][3, : D_MODEL // 2])
    assert marian_positions(3, 4).shape == (3, 4)


def test_a_vocabulary_is_read_as_the_converter_reads_it(tmp_path):
    marian = pytest.importorskip("ctranslate2.converters.marian")
    lines = [
        "</s>: 0", "<unk>: 1", "no: 2", "1.5: 3", "=: 4", '"\\"": 5', "'#': 6",
        "'''': 7", "~: 8", "▁the: 9", '":": 10', "<<: 11", "null: 12",
    ]  # fmt: skip
    path = tmp_path / "vocab.yml"
    path.write_text("\n".join(lines) + "\n")
    assert read_vocabulary(path) == marian.load_vocab(str(path))
    assert read_vocabulary(path)[5:8] == ['"', "#", "'"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"transformer_ffn_activation": "gelu"}, "transformer-ffn-activation='gelu'"),
        ({"transformer_decoder_autoreg": "rnn"}, "transformer-decoder-autoreg='rnn'"),
        ({"transformer_postprocess": "da"}, "-postprocess and -postprocess-top are"),
        ({"type": "s2s"}, "the option type='s2s' has no counterpart"),
        ({"transformer_train_positions": True}, "transformer-train-positions=True"),
        ({"transformer_heads": "x"}, "transformer-heads='x' is no number"),
        ({"dec_depth": 2, "dim_emb": 16}, r"Wemb has the shape \(\d+, 32\), its"),
    ],
    ids=["gelu", "rnn", "norm", "s2s", "positions", "heads", "sizes"],
)
def test_another_architecture_is_refused_by_its_option(changes, expected, tmp_path):
    write_npz_directory(tmp_path / "m", **changes)
    with pytest.raises(tj.InputError, match=f"model.npz: .*{expected}"):
        read_marian_directory(tmp_path / "m")


def test_files_that_are_not_there_are_named(tmp_path):
    write_npz_directory(tmp_path / "m")
    (tmp_path / "m" / "target.spm").unlink()
    with pytest.raises(tj.InputError, match=r"target\.spm cannot be read"):
        read_marian_directory(tmp_path / "m")
    (tmp_path / "m" / "model.npz").write_bytes(b"no")
    with pytest.raises(tj.InputError, match=r"model\.npz cannot be read"):
        read_marian_directory(tmp_path / "m")
    (tmp_path / "m" / "decoder.yml").write_text("models: [a, b]")
    with pytest.raises(tj.InputError, match=r"decoder.yml: models=.* must list 1 file"):
        read_marian_directory(tmp_path / "m")
    (tmp_path / "m" / "decoder.yml").write_text("models: [{a: b}]")
    with pytest.raises(tj.InputError, match=r"decoder.yml: models=.* must list 1 file"):
        read_marian_directory(tmp_path / "m")


@pytest.mark.parametrize("damage", [np.nan, np.inf, "integers"])
def test_numbers_that_are_no_finite_floats_are_named(damage, tmp_path):
    write_npz_directory(tmp_path / "m")
    path = tmp_path / "m" / "model.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    if damage == "integers":
        arrays["encoder_l1_ffn_W1"] = arrays["encoder_l1_ffn_W1"].astype(np.int8)
    else:
        arrays["encoder_l1_ffn_W1"][0, 0] = damage
    np.savez(path, **arrays)
    expected = r"model\.npz: encoder_l1_ffn_W1 has numbers that are not finite floats"
    with pytest.raises(tj.InputError, match=expected):
        read_marian_directory(tmp_path / "m")


@pytest.mark.parametrize("line", ['"": 0', '"\\ud800": 0'])
def test_a_piece_that_is_no_text_is_named(line, tmp_path):
    (tmp_path / "vocab.yml").write_text(f"{line}\n")
    with pytest.raises(tj.InputError, match=r"vocab\.yml: the piece .* is no text"):
        read_vocabulary(tmp_path / "vocab.yml")
