"""What is wrong with a Marian model is told in our words, before it is loaded."""

import json

import numpy as np
import pytest

import transformer_jax as tj

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.numpy")

from tiny_marian import write_marian_directory  # noqa: E402

from transformer_jax.interop import import_model  # noqa: E402


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damaged") / "marian"
    write_marian_directory(directory)
    return directory


@pytest.fixture
def other(marian, tmp_path):
    """A directory of links, whose files can be replaced."""
    directory = tmp_path / "other"
    directory.mkdir()
    for path in marian.iterdir():
        (directory / path.name).symlink_to(path)
    return directory


def replace(path, contents):
    path.unlink()
    path.write_bytes(contents)


@pytest.fixture
def unloaded(monkeypatch):
    """An error of the test if transformers is asked to load anything."""
    monkeypatch.setattr(import_model, "MarianProgram", None)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("generation_config.json", {"length_penalty": "x"}, "length_penalty='x' must"),
        ("generation_config.json", {"bad_words_ids": [1]}, "must be a list of lists"),
        ("generation_config.json", {"bad_words_ids": [[9999]]}, "9999, which is no"),
        ("generation_config.json", {"num_beams": -1}, "num_beams=-1 must be"),
        ("generation_config.json", {"early_stopping": 3}, "early_stopping=3 must be"),
        ("config.json", {"max_position_embeddings": 1}, "max_position_embeddings=1 "),
        ("config.json", {"dropout": "x"}, "dropout='x' must be a number"),
        ("config.json", {"decoder_vocab_size": "x"}, "decoder_vocab_size='x' must"),
        ("vocab.json", {"\ud800": 3}, r"piece '\\ud800' is no text"),
        ("vocab.json", {"": 3}, "piece '' is no text"),
        ("tokenizer_config.json", {"source_lang": 3}, "source_lang=3 is no text"),
    ],
)
def test_bad_values_are_named_with_their_file(
    other, tmp_path, unloaded, file, changes, said
):
    values = json.loads((other / file).read_text())
    replace(other / file, json.dumps({**values, **changes}).encode())
    with pytest.raises(tj.InputError, match=rf"other/{file}: .*{said}"):
        tj.import_model(other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("file", "contents", "said"),
    [
        ("config.json", b'{"d_model": ', r"config\.json cannot be read \("),
        ("vocab.json", b"[]", r"vocab\.json cannot be read \(it is no table"),
        ("generation_config.json", b"{", r"generation_config\.json cannot be read"),
        ("model.safetensors", b"123", r"model\.safetensors cannot be read \("),
        ("source.spm", None, r"source\.spm is missing: a Marian model has one"),
        ("vocab.json", None, r"vocab\.json is missing: a Marian model has one"),
        ("model.safetensors", None, "has no model.safetensors and no pytorch_model"),
    ],
)
def test_damaged_and_missing_files_are_named(
    other, tmp_path, unloaded, file, contents, said
):
    if contents is None:
        (other / file).unlink()
    else:
        replace(other / file, contents)
    with pytest.raises(tj.InputError, match=said):
        tj.import_model(other, tmp_path / "run")


BIAS, MATRIX = (f"model.encoder.layers.0.fc1.{name}" for name in ("bias", "weight"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"new.weight": np.zeros(3, np.float32)}, "new.weight is no parameter"),
        ({MATRIX: np.zeros((48, 32), np.int32)}, f"{MATRIX} is of the type I32"),
        ({BIAS: np.zeros(9, np.float32)}, rf"{BIAS} has the shape \(9,\), config.json"),
        ({BIAS: None}, f"its weights lack {BIAS}"),
    ],
)
@pytest.mark.parametrize("is_pickled", [False, True])
def test_weights_that_do_not_fit_are_named(
    other, tmp_path, unloaded, change, said, is_pickled
):
    path = other / "model.safetensors"
    arrays = {**safetensors.load_file(path), **change}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path.unlink()
    if is_pickled:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        torch.save(tensors, other / "pytorch_model.bin")
        said = said.replace("I32", "int32")
    else:
        safetensors.save_file(arrays, path)
    with pytest.raises(tj.InputError, match=said):
        tj.import_model(other, tmp_path / "run")


def test_weights_that_are_not_finite_are_named_before_the_comparison(other, tmp_path):
    path = other / "model.safetensors"
    arrays = safetensors.load_file(path)
    arrays[BIAS] = np.full(48, np.nan, np.float32)
    path.unlink()
    safetensors.save_file(arrays, path, {"format": "pt"})
    with pytest.raises(
        tj.InputError, match=rf"model\.safetensors: {BIAS} has numbers that are not"
    ):
        tj.import_model(other, tmp_path / "run")


def test_search_without_beams_is_greedy_and_told(other, tmp_path, caplog):
    file = other / "generation_config.json"
    values = json.loads(file.read_text())
    replace(file, json.dumps({**values, "num_beams": 0}).encode())
    done = tj.import_model(other, tmp_path / "run", compare=False)
    assert "no num_beams: search is greedy" in caplog.text
    config = tj.load_checkpoint(done.directory).config
    assert config.decoding.beam_size == 1
