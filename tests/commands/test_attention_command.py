"""The command `attention`: a page, pictures and arrays, and what bad input answers."""

import io
import json
import re

import numpy as np
import pytest
from tiny_runs import trained_run

from transformer_jax.cli import main

SOURCE, TARGET = "ba be bi", "bi be ba"


def run(*arguments):
    return main(["attention", str(trained_run().workdir), *map(str, arguments)])


def expected():
    return trained_run().result.translator.attention(SOURCE, TARGET)


def test_a_page(tmp_path, capsys):
    path = tmp_path / "page.html"
    assert run("--source", SOURCE, "--target", TARGET, "--output", path) == 0
    data = re.search(r'id="data">(.*?)</script>', path.read_text())[1]
    assert json.loads(data)["source"] == expected().source_pieces
    assert "translation" not in capsys.readouterr().err


def test_the_models_own_translation_is_used(tmp_path, capsys):
    path = tmp_path / "page"
    assert run("--source", SOURCE, "--output", path) == 0
    (translation,) = trained_run().result.translator.translate([SOURCE])
    assert f"translation: {translation}\n" in capsys.readouterr().err
    data = re.search(r'id="data">(.*?)</script>', path.read_text())[1]
    pieces = trained_run().result.translator.attention(SOURCE, translation)
    assert json.loads(data)["target"] == pieces.target_pieces


def test_arrays(tmp_path):
    path = tmp_path / "maps.npz"
    assert run("--source", SOURCE, "--target", TARGET, "--output", path) == 0
    with np.load(io.BytesIO(path.read_bytes())) as found:
        assert list(found["source_pieces"]) == expected().source_pieces
        for name in "encoder", "decoder", "cross":
            np.testing.assert_allclose(
                found[name], getattr(expected(), name), atol=1e-6
            )


@pytest.mark.parametrize("ending", ["png", "svg", "PDF"])
def test_pictures(tmp_path, ending):
    path = tmp_path / f"picture.{ending}"
    arguments = "--kind", "cross", "--layer", "0", "--heads", "0", "1"
    assert (
        run("--source", SOURCE, "--target", TARGET, "--output", path, *arguments) == 0
    )
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}
    assert path.read_bytes().startswith(begins[ending])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--source", " ", "--output", "a.html"], "--source is empty"),
        (["--source", "ba", "--output", "no/a.html"], "no is not there"),
        (["--source", "ba", "--output", "a.html", "--layer", "0"], "are of pictures"),
        (
            ["--source", "ba", "--output", "a.png", "--layer", "9"],
            "--layer 9 must be 0 to 1",
        ),
        (
            ["--source", "ba", "--output", "a.svg", "--heads", "0", "7"],
            "--heads 7 must be 0 to",
        ),
        (
            ["--source", "ba", "--output", "a.html", "--checkpoint", "x"],
            "--checkpoint x must be",
        ),
        (["--source", "ba", "--output", "a.npz", "--kind", "cross"], "are of pictures"),
        (["--source", "ba"], "--output"),
    ],
)
def test_bad_input_is_one_line(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    told = capsys.readouterr().err
    assert says in told.splitlines()[-1]
    assert "translation:" not in told, "it is refused before the work"
    assert not list(tmp_path.iterdir())
