"""Marian models against transformers itself: in, out, and out again."""

import dataclasses
import json

import numpy as np
import pytest
from tiny_runs import trained_run

import transformer_jax as tj

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.numpy")

from tiny_marian import SENTENCES, write_marian_directory  # noqa: E402

from transformer_jax.interop import export_model, marian_parameters  # noqa: E402
from transformer_jax.interop.marian_program import MarianProgram  # noqa: E402


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interop") / "marian"
    write_marian_directory(directory)
    return directory


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "sample.txt"
    path.write_text("\n".join([*SENTENCES, "", "ba Straße kalt bridge"]) + "\n")
    return path


@pytest.fixture(scope="module")
def two_lines(tmp_path_factory):
    """For whom every further length is some more programs to compile."""
    path = tmp_path_factory.mktemp("sample") / "two.txt"
    path.write_text(f"{SENTENCES[0]}\n{SENTENCES[2]}\n")
    return path


@pytest.fixture(scope="module")
def imported(marian, sample, tmp_path_factory):
    return tj.import_model(
        marian, tmp_path_factory.mktemp("imported") / "run", sample=sample
    )


@pytest.mark.slow
def test_an_imported_model_does_what_transformers_does(imported):
    report = imported.parity
    assert report.difference is None
    assert report.logits_difference < 1e-5
    assert report.greedy == tj.Comparison(compared=6, equal=6)
    assert report.beam.equal == report.beam.compared > 1
    assert report.segmentation.equal == report.segmentation.compared > 6
    assert json.loads((imported.directory / "parity.json").read_text())["equal"]


@pytest.mark.slow
def test_an_imported_run_translates_and_scores_as_any_other(imported, marian):
    program = MarianProgram(marian)
    translator = tj.Translator.from_checkpoint(imported.directory)
    model = translator.config.model
    assert (model.activation, model.norm_epsilon) == ("swish", 1e-5)
    assert model.attention_bias
    assert model.output_bias
    # Padding, with which the decoder begins, is never an output.
    assert translator.config.decoding.forbidden_tokens == (translator.tokenizer.pad_id,)
    text = ">>deu<< mo ku ka"
    source = translator.tokenizer.encode_source([text])
    assert source == program.encode_source([text])
    target = translator.tokenizer.encode_target(["ka ku mo"])
    logits = torch.from_numpy(program.logits(source, target))[0]
    expected = torch.log_softmax(logits, -1)[range(len(target[0])), target[0]]
    (found,) = tj.score_tokens(translator, source, target)
    np.testing.assert_allclose(found.token_log_probs, expected, atol=1e-4)


@pytest.mark.slow
def test_an_imported_model_is_exported_as_it_was(imported, marian, tmp_path):
    out = tj.export_model(imported.directory, tmp_path / "out", compare=False)
    assert out.parity is None
    assert "that was turned off" in (out.directory / "README.md").read_text()
    arrays = safetensors.load_file(out.directory / "model.safetensors")
    before = safetensors.load_file(marian / "model.safetensors")
    assert arrays.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    for name in ("vocab.json", "config.json"):
        folders = out.directory, marian
        found, wanted = (json.loads((each / name).read_text()) for each in folders)
        # How many rows a table of sinusoids has, and a forced end, are not kept.
        for key in ("max_position_embeddings", "forced_eos_token_id"):
            found.pop(key, None)
            wanted.pop(key, None)
        shared = found.keys() & wanted.keys()
        assert {k: found[k] for k in shared} == {k: wanted[k] for k in shared}
    assert len(shared) > 20
    search = json.loads((out.directory / "generation_config.json").read_text())
    assert search["bad_words_ids"] == [[search["pad_token_id"]]]
    assert search["num_beams"] == 3


@pytest.mark.slow
def test_a_run_is_exported_and_comes_back_to_the_bit(two_lines, tmp_path):
    run = trained_run()
    out = tj.export_model(
        run.workdir, tmp_path / "out", license="apache-2.0", sample=two_lines
    )
    report = out.parity
    assert report.difference is None
    assert report.greedy == tj.Comparison(compared=2, equal=2)
    assert report.segmentation.equal == 4
    card = (out.directory / "README.md").read_text()
    assert 'license: "apache-2.0"\n' in card
    assert "| loss | " in card
    again = tj.import_model(out.directory, tmp_path / "again", compare=False)
    translator = tj.Translator.from_checkpoint(again.directory)
    own = tj.Translator.from_checkpoint(run.workdir)
    model = dataclasses.replace(own.config.model, norm_epsilon=1e-5, scan_unroll=None)
    assert translator.config.model == model
    for text in (*SENTENCES, "naïve ½ 漢"):
        ids = own.tokenizer.encode_source([text])
        assert translator.tokenizer.encode_source([text]) == ids
    import jax

    jax.tree.map(np.testing.assert_array_equal, translator.params, own.params)


@pytest.mark.slow
def test_a_model_that_does_something_else_is_not_exported(
    two_lines, tmp_path, monkeypatch
):
    """As with the paper's sinusoids in Marian's columns."""
    monkeypatch.setattr(marian_parameters, "interleaved_order", np.arange)
    with pytest.raises(tj.ParityError, match=r"logits differ by .*nothing was written"):
        tj.export_model(trained_run().workdir, tmp_path / "out", sample=two_lines)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_missing_package_and_a_full_directory_are_told_first(
    marian, tmp_path, monkeypatch
):
    workdir = trained_run().workdir
    with pytest.raises(tj.InputError, match="is there already"):
        tj.export_model(workdir, marian)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    monkeypatch.setattr(export_model, "write_marian", None)  # Nothing is begun.
    for call in (
        lambda: tj.export_model(workdir, tmp_path / "out"),
        lambda: tj.import_model(marian, tmp_path / "run"),
    ):
        with pytest.raises(
            tj.InputError, match=r"package transformers .*\[hugging-face\]"
        ):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"model_type": "bart"}, "model_type is 'bart'.: give"),
        ("config.json", {"scale_embedding": False}, "scale_embedding=False is not"),
        ("config.json", {"activation_function": "gelu"}, "activation_function='gelu'"),
        ("config.json", {"normalize_before": True}, "normalize_before=True is not"),
        ("vocab.json", {"new": 10_000}, r"vocab\.json: its token ids must be"),
        ("generation_config.json", {"bad_words_ids": [[1, 2]]}, "forbids sequences"),
    ],
)
def test_what_cannot_be_imported_is_named(marian, tmp_path, file, changes, said):
    other = tmp_path / "other"
    other.mkdir()
    for path in marian.iterdir():
        (other / path.name).symlink_to(path)
    values = json.loads((marian / file).read_text())
    (other / file).unlink()
    (other / file).write_text(json.dumps({**values, **changes}))
    with pytest.raises(tj.InputError, match=said):
        tj.import_model(other, tmp_path / "run")
    assert not (tmp_path / "run").exists()
