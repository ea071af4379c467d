"""Parameters by name: looked at, changed, saved, read again by everything."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import reversed_pairs, trained_run

import transformer_jax as tj
from transformer_jax.cli import main

PAIRS = reversed_pairs(60)


@pytest.mark.slow
def test_saved_parameters_are_read_as_they_were(tmp_path):
    run = trained_run()
    old = run.result.translator
    changed = jax.tree.map(lambda x: x * jnp.float32(0.5), old.params)
    for params in (changed, jax.device_get(changed)):  # The second replaces the first.
        saved = tj.save_parameters(tmp_path / "m", old.config, params, old.tokenizer)
        new = tj.Translator.from_checkpoint(saved)
        jax.tree.map(np.testing.assert_array_equal, new.params, changed)
        assert new.tokenizer == old.tokenizer
        assert new.config.model == old.config.model
    assert new.translate(["ba be"]) != old.translate(["ba be"])


def test_parameters_of_another_model_are_refused(tmp_path):
    run = trained_run()
    old = run.result.translator
    smaller = dict(old.params)
    del smaller["decoder"]
    expected = r"params: the parameter decoder/cross_attention/key/kernel is missing"
    with pytest.raises(tj.InputError, match=expected):
        tj.save_parameters(tmp_path / "m", old.config, smaller, old.tokenizer)
    with pytest.raises(tj.InputError, match=expected):
        tj.Translator(old.config, smaller, old.tokenizer)
    assert not list(tmp_path.iterdir())
    for directory in (run.workdir, run.workdir / "checkpoints" / "36"):
        with pytest.raises(tj.InputError, match="has other contents than parameters"):
            tj.save_parameters(directory, old.config, old.params, old.tokenizer)


def test_parameters_alone_are_no_hindrance_but_no_run_continues_from_them(
    tmp_path, capsys
):
    old = trained_run().result.translator
    folder, config = tmp_path / "run", old.config
    tj.prepare(config, folder, train_pairs=PAIRS, tokenizer=old.tokenizer)
    tj.save_parameters(folder / "checkpoints/4", config, old.params, old.tokenizer)
    data = tj.prepare(config, folder, train_pairs=PAIRS)  # As a second run does.
    assert data.tokenizer == old.tokenizer
    with pytest.raises(tj.InputError, match="4 holds parameters alone, as save_para"):
        tj.train(config, folder, train_pairs=PAIRS, progress=False)
    assert main(["info", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"] == [4]
    assert main(["info", str(folder), "--verify"]) == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x * jnp.nan, "has numbers that are not finite"),
        (lambda x: np.asarray(x, np.float64) * 1e300, "numbers that are not finite"),
        (lambda x: np.asarray(x, np.complex64), "is complex64; expected an array of"),
        (lambda x: "x", "is str; expected an array of real numbers"),
    ],
    ids=["nan", "inf", "complex", "text"],
)
def test_parameters_that_are_no_numbers_are_not_saved(change, expected, tmp_path):
    old = trained_run().result.translator
    params = jax.tree.map(change, old.params)
    with pytest.raises(tj.InputError, match=expected):
        tj.save_parameters(tmp_path / "m", old.config, params, old.tokenizer)
    assert not list(tmp_path.iterdir())
