"""Checkpoints as NumPy arrays by name, and the table of names in the docs."""

import re
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from tiny_runs import one_layer_config, reversed_pairs, trained_run

import transformer_jax as tj
from transformer_jax.model.size import abstract_params, shapes_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md"
ROW = re.compile(r"^\| `([\w/]+)` \| `([\w, ]+)` \| (.*?) *\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def loaded():
    return tj.load_checkpoint(trained_run().workdir)


def test_arrays_are_those_of_the_checkpoint_in_every_way_it_is_named(loaded):
    run = trained_run()
    params = run.result.translator.params
    jax.tree.map(np.testing.assert_array_equal, loaded.tree, jax.device_get(params))
    assert {type(array) for array in loaded.params.values()} == {np.ndarray}
    assert loaded.directory == str(run.workdir / "checkpoints" / "36")
    again = tj.load_checkpoint(run.workdir / "checkpoints" / "36")
    assert again.params.keys() == loaded.params.keys() == shapes_of(params).keys()
    assert (again.config, again.tokenizer) == (loaded.config, loaded.tokenizer)
    earlier = tj.load_checkpoint(run.workdir, 27)
    assert earlier.directory.endswith("/27")
    with pytest.raises(tj.InputError, match="has no checkpoint 5: choose one of"):
        tj.load_checkpoint(run.workdir, 5)


def test_an_average_is_loaded_too(tmp_path):
    run = trained_run()
    average = tj.average_checkpoints(run.workdir, last=2, output=tmp_path / "average")
    name = "decoder/feed_forward/inner/bias"
    expected = [tj.load_checkpoint(run.workdir, step).params[name] for step in (27, 36)]
    np.testing.assert_allclose(
        tj.load_checkpoint(average).params[name], np.mean(expected, 0), rtol=1e-6
    )


@pytest.mark.slow
def test_what_is_saved_flat_nested_or_from_a_file_translates_alike(loaded, tmp_path):
    np.savez(tmp_path / "model.npz", **loaded.params)
    with np.load(tmp_path / "model.npz") as stored:
        flat = dict(stored)
    old = trained_run().result.translator
    sentences = [source for source, _ in reversed_pairs(4)]
    expected = old.translate(sentences, beam_size=1)
    half_nested = {**flat, "encoder": loaded.tree["encoder"]}
    for name in [name for name in half_nested if name.startswith("encoder/")]:
        del half_nested[name]
    for params in (flat, loaded.tree, half_nested):
        saved = tj.save_checkpoint(
            tmp_path / "m", params, loaded.config, loaded.tokenizer
        )
        found = tj.load_checkpoint(saved)
        for name, array in loaded.params.items():
            np.testing.assert_array_equal(found.params[name], array)
    new = tj.Translator.from_checkpoint(saved)
    assert new.translate(sentences, beam_size=1) == expected


@pytest.mark.slow
def test_a_run_begins_with_saved_arrays(loaded, tmp_path):
    model = one_layer_config().model
    config = loaded.config.replace(model=model)
    params = {name: array[:1] for name, array in loaded.params.items() if "r/" in name}
    params |= {name: loaded.params[name] for name in loaded.params if "r/" not in name}
    saved = tj.save_checkpoint(tmp_path / "m", params, config, loaded.tokenizer)
    changes = {"training__initial_checkpoint": str(saved), "training__num_steps": 1}
    result = tj.train(
        one_layer_config(**changes, optimizer__learning_rate_scale=1e-20),
        tmp_path / "run",
        train_pairs=reversed_pairs(60),
        progress=False,
    )
    first = result.state.params["decoder"]["feed_forward"]["outer"]["kernel"]
    name = "decoder/feed_forward/outer/kernel"
    np.testing.assert_allclose(first, loaded.params[name][:1], atol=1e-6)


def test_other_kinds_of_real_numbers_become_float32(loaded, tmp_path):
    for dtype in (np.float16, np.float64, ml_dtypes.bfloat16):
        params = {name: x.astype(dtype) for name, x in loaded.params.items()}
        saved = tj.save_checkpoint(
            tmp_path / "m", params, loaded.config, loaded.tokenizer
        )
        for name, array in tj.load_checkpoint(saved).params.items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, params[name].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda p: p | {"embedding/matrix": p["embedding/matrix"][1:]},
            r"parameter embedding/matrix has the shape \(299, 32\), its settings say "
            r"\(300, 32\)",
        ),
        (
            lambda p: p | {"encoder/extra": p["embedding/matrix"]},
            "the parameter encoder/extra is not one of this model",
        ),
        (
            lambda p: {
                k: v for k, v in p.items() if k != "encoder/feed_forward/inner/bias"
            },
            "the parameter encoder/feed_forward/inner/bias is missing",
        ),
        (
            lambda p: p | {"embedding/matrix": p["embedding/matrix"].astype(np.int32)},
            "embedding/matrix is int32; expected an array of real numbers",
        ),
        (
            lambda p: p | {"embedding/matrix": p["embedding/matrix"].tolist()},
            "embedding/matrix is list; expected an array of real numbers",
        ),
        (
            lambda p: p | {"embedding/matrix/x": 0},
            "embedding/matrix/x is below another",
        ),
        (
            lambda p: p | {"embedding": {"matrix": p["embedding/matrix"]}},
            "embedding/matrix is given twice",
        ),
        (lambda p: p | {3: 0}, "3 is no name of a parameter"),
        (lambda p: list(p), "params is list; expected a dictionary of arrays"),
    ],
    ids=[
        "shape",
        "extra",
        "missing",
        "whole",
        "list",
        "below",
        "twice",
        "number",
        "list_of_names",
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(
    change, expected, loaded, tmp_path
):
    with pytest.raises(tj.InputError, match=expected):
        tj.save_checkpoint(
            tmp_path / "m", change(loaded.params), loaded.config, loaded.tokenizer
        )
    assert not list(tmp_path.iterdir())


def rows_that_hold(model):
    """The shapes that the page gives for a model, by name."""
    sizes = {
        name: getattr(model, name)
        for name in type(model).__dataclass_fields__
        if isinstance(getattr(model, name), int)
    }
    sizes |= {"d_k": model.key_size, "d_v": model.value_size}
    sizes["target_vocab_size"] = model.output_vocab_size
    shapes = {}
    for name, shape, condition in ROW.findall(PAGE.read_text()):
        setting = re.match(r"`(\w+)=", condition)
        values = re.findall(r'[=`]"?(\w+)"?`', condition)
        if setting is None or str(getattr(model, setting[1])).lower() in values:
            assert name not in shapes, name
            shapes[name] = tuple(sizes[size] for size in shape.split(", "))
    return shapes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_vocab_size": 50, "share_embeddings": "target", "norm": "pre"},
        {"attention_bias": True, "output_bias": True},
        {"share_embeddings": "none", "positions": "learned", "target_vocab_size": 50},
    ],
    ids=["paper", "target", "biases", "none"],
)
def test_the_page_has_the_name_and_the_shape_of_every_parameter(changes):
    # No two sizes are equal, so that no shape is right by accident.
    model = tj.ModelConfig(
        vocab_size=60, num_encoder_layers=2, num_decoder_layers=3, d_model=8, d_ff=16,
        num_heads=4, d_k=5, d_v=7, max_length=9, **changes,
    )  # fmt: skip
    assert rows_that_hold(model) == shapes_of(abstract_params(model))
