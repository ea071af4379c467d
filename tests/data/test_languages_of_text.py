"""The languages of a text, by settings and by the names of its files."""

import logging

import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.config.data import DataConfig
from transformer_jax.data.languages import find_languages
from transformer_jax.training.preparation import prepare

NONE = (None, None)


def find(data, *texts):
    """Returns the languages of texts that have at most one file on each side."""
    files = [tuple(() if path is None else (path,) for path in text) for text in texts]
    return find_languages(data, *files)


def codes(data, *texts):
    found = find(data, *texts)
    return found.source.code, found.target.code


def warnings_of(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("settings", "files", "expected", "is_en_de"),
    [
        (("en", "de"), NONE, ("en", "de"), True),
        (("English", "deu"), ("test.en", "test.de.gz"), ("en", "de"), True),
        (("en", "de"), ("train.source", "train.target"), ("en", "de"), True),
        # A default says less than a file.
        (("en", "de"), ("train.en", "train.fr"), ("en", "fr"), False),
        (("en", "de"), ("train.de", "train.en"), ("de", "en"), False),
        (("en", "de"), ("train.fr", None), ("fr", "de"), False),
        (("en", "de"), ("train.en", "train.zh-CN"), ("en", "zh"), False),
        # What was set says more.
        (("en", "fr"), ("test.en", "test.de"), ("en", "fr"), False),
        (("en", "Chinese"), ("test.en", "test.de"), ("en", "zh"), False),
    ],
)
def test_languages_by_settings_and_files(settings, files, expected, is_en_de):
    source, target = settings
    data = DataConfig(source_language=source, target_language=target)
    assert codes(data, files) == expected
    assert find(data, files).are("en", "de") == is_en_de


def test_the_text_itself_comes_before_the_training_text():
    data = DataConfig()
    assert codes(data, ("a.en", "a.ja"), ("b.en", "b.fr")) == ("en", "ja")
    assert codes(data, NONE, ("b.en", "b.fr")) == ("en", "fr")
    # A German text, by a model that was trained on French.
    mixed = find(data, ("a.en", "a.de"), ("b.en", "b.fr"))
    assert not mixed.are("en", "de")


def test_every_file_of_a_side_is_looked_at():
    found = find_languages(DataConfig(), (["a.en", "b.fr"], ["a.de", "b.de.gz"]))
    assert "but b.fr is named as fr" in found.source.contradiction
    assert found.target.contradiction is None


def test_a_contradiction_is_told_once(tmp_path, caplog):
    paths = {}
    for split in ("train", "validation", "test"):
        for side, suffix in ("source", "en"), ("target", "fr"):
            path = tmp_path / f"{split}.{suffix}"
            index = ("source", "target").index(side)
            pairs = reversed_pairs(60, seed=len(split))
            path.write_text("".join(pair[index] + "\n" for pair in pairs))
            paths[f"data__{split}_{side}_path"] = str(path)
    prepare(tiny_config(**paths), tmp_path / "run")
    (warning,) = warnings_of(caplog)
    named = ", ".join(
        f"{tmp_path}/{split}.fr is named as fr"
        for split in ("train", "validation", "test")
    )
    assert warning == (
        f"data.target_language='de', but {named}: taken for fr. Set these to the "
        "languages of the text, or rename the files."
    )
    caplog.clear()
    right = tiny_config(**paths, data__target_language="French")
    prepare(right, tmp_path / "run")
    assert warnings_of(caplog) == []


def test_both_sides_are_one_warning(caplog):
    find(DataConfig(), ("a.de", "a.en")).warn()
    (warning,) = warnings_of(caplog)
    assert "data.source_language='en', but a.de is named as de" in warning
    assert "data.target_language='de', but a.en is named as en" in warning
