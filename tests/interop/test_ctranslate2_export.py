"""Models exported for CTranslate2, with CTranslate2 itself as the reference."""

import dataclasses
import functools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from tiny_runs import VOCAB_SIZE, one_layer_config, reversed_pairs

import transformer_jax as tj
from transformer_jax.checkpoints.named_arrays import arrays_by_name
from transformer_jax.cli import main
from transformer_jax.config.data import TokenizerConfig
from transformer_jax.interop import ctranslate2_parameters
from transformer_jax.interop.ctranslate2_parameters import make_specification
from transformer_jax.interop.ctranslate2_program import CTranslate2Program
from transformer_jax.tokenizer.tokenizer import train_tokenizer

pytestmark = pytest.mark.slow

ctranslate2 = pytest.importorskip("ctranslate2")
specs = pytest.importorskip("ctranslate2.specs")

PAIRS = reversed_pairs(200)
VARIANTS = {
    "paper": {},
    "pre": {"norm": "pre", "activation": "gelu", "positions": "learned"},
    "narrow_values": {
        "d_k": 12, "d_v": 5, "activation": "swish", "share_embeddings": "target",
        "attention_bias": True, "output_bias": True, "norm_epsilon": 1e-3,
    },
    "wide_values": {"d_k": 3, "d_v": 12, "attention_scale": 0.9},
    "separate": {"share_embeddings": "none", "target_vocab_size": 290},
}  # fmt: skip


@functools.cache
def tokenizer_of(target_size=None):
    sides = TokenizerConfig(shared=target_size is None)
    model = tj.ModelConfig.tiny(
        vocab_size=VOCAB_SIZE, target_vocab_size=target_size, share_embeddings="none"
    )
    return train_tokenizer(PAIRS, sides, model)


@functools.cache
def untrained_config(**changes):
    return one_layer_config(model__max_length=64, **changes)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_params):
    """A model that ends its outputs: that of random numbers, with likelier ends."""
    config = untrained_config(model__output_bias=True, decoding__max_extra_length=12)
    tokenizer = tokenizer_of()
    params = random_params(config.model)
    bias = np.zeros(VOCAB_SIZE, np.float32)
    bias[tokenizer.eos_id] = 3
    params = {**params, "output_bias": {"bias": bias}}
    folder = tmp_path_factory.mktemp("checkpoint") / "saved"
    return tj.save_checkpoint(folder, params, config, tokenizer)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_as_probable_there(variant, tmp_path, random_params):
    changes = VARIANTS[variant]
    model = dataclasses.replace(untrained_config().model, **changes)
    tokenizer = tokenizer_of(changes.get("target_vocab_size"))
    params = random_params(model)
    arrays = dict(arrays_by_name(params))
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    spec = make_specification(specs, model, arrays, tokenizer)
    spec.validate()
    spec.save(str(tmp_path))
    sources = tokenizer.encode_source([source for source, _ in PAIRS[:4]])
    targets = tokenizer.encode_target([target for _, target in PAIRS[:4]])
    program = CTranslate2Program(ctranslate2, tmp_path, tokenizer)
    found = program.token_log_probs(sources, targets)
    shared = TokenizerConfig(shared=tokenizer.is_shared)
    config = untrained_config().replace(model=model, tokenizer=shared)
    translator = tj.Translator(config, params, tokenizer)
    expected = tj.score_tokens(translator, sources, targets)
    for theirs, ours in zip(found, expected, strict=True):
        np.testing.assert_allclose(theirs, ours.token_log_probs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_both_programs_translate_alike_and_readme_says_how(checkpoint, tmp_path):
    sample = tmp_path / "sample"
    sample.write_text("".join(f"{source}\n" for source, _ in PAIRS[:4]))
    done = tj.export_model(
        checkpoint, tmp_path / "out", format="ctranslate2", sample=sample
    )
    parity = done.parity
    assert parity.difference is None
    assert parity.greedy.equal == parity.greedy.compared == 4
    assert parity.beam.equal + parity.beam.cut == 4
    assert parity.beam.equal > 1  # That is, they do end.
    assert parity.own_settings.different == 0
    assert json.loads((done.directory / "parity.json").read_text())["equal"] is True
    stored = json.loads((done.directory / "config.json").read_text())
    assert stored["add_source_eos"] is True
    assert (stored["decoder_start_token"], stored["eos_token"]) == ("<s>", "</s>")

    page = (done.directory / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    own = tj.Translator.from_checkpoint(checkpoint)
    sentences = [source for source, _ in PAIRS[:6]]
    call = 'print(translate("This is a test."))'
    program = program.replace(call, f"for x in {sentences}: print(translate(x))")
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=done.directory, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert printed.split("\n")[:-1] == own.translate(sentences)


@pytest.mark.slow
def test_fewer_bits_are_reported_and_no_error(checkpoint, tmp_path, capsys):
    arguments = ["--format", "ctranslate2", "--quantization", "int8"]
    output = tmp_path / "out"
    assert main(["export", str(checkpoint), "--output", str(output), *arguments]) == 0
    report = json.loads(capsys.readouterr().out)["parity"]
    assert report["quantization"] == "int8"
    assert "int8" in report["program"]
    assert 1e-4 < report["log_prob_difference"] < 1
    arrays = tj.load_checkpoint(checkpoint).params.values()
    positions = 4 * 32 * ctranslate2_parameters.NUM_POSITIONS  # These are as before.
    whole = sum(array.nbytes for array in arrays) + positions
    assert (output / "model.bin").stat().st_size < whole
    assert not (output / "float32").exists()
    ctranslate2.Translator(str(output))


def test_a_parameter_in_the_wrong_place_is_an_error(checkpoint, tmp_path, monkeypatch):
    def without_last_sine(rows, d_model):
        table = ctranslate2_parameters.jnp.asarray(sinusoids(rows, d_model))
        return table.at[:, -1].set(0)

    sinusoids = ctranslate2_parameters.sinusoidal_encoding
    monkeypatch.setattr(
        ctranslate2_parameters, "sinusoidal_encoding", without_last_sine
    )
    # It is asked of the same model in float32.
    arguments = {"format": "ctranslate2", "quantization": "int8"}
    with pytest.raises(tj.ParityError, match="log-probabilities differ by"):
        tj.export_model(checkpoint, tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "arguments", "expected"),
    [
        ({"attention_window": 3}, {}, "model.attention_window=3 cannot be held"),
        ({}, {"quantization": "int4"}, "quantization='int4' is unknown: expected one"),
        (
            {},
            {"format": "hugging-face", "quantization": "int8"},
            "quantization='int8' is of the format ctranslate2 only",
        ),
    ],
    ids=["window", "bits", "format"],
)
def test_what_cannot_be_is_refused_by_name(
    changes, arguments, expected, tmp_path, random_params
):
    config = untrained_config(**{f"model__{k}": v for k, v in changes.items()})
    params = random_params(config.model)
    tj.save_checkpoint(tmp_path / "m", params, config, tokenizer_of())
    arguments = {"format": "ctranslate2", **arguments}
    with pytest.raises(tj.InputError, match=expected):
        tj.export_model(tmp_path / "m", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(tj.InputError, match=r"pip install 'transformer-jax\[ctransl"):
        tj.export_model(checkpoint, tmp_path / "out", format="ctranslate2")
