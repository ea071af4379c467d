"""Sentence pairs of TFDS data sets, and what of them is refused."""

import sys
from functools import partial

import pytest
import tensorflow_datasets as tfds
from test_source import expect_error

from transformer_jax.cldr_corpus import builder as cldr
from transformer_jax.config.experiment import DataConfig
from transformer_jax.data.source import load_pairs
from transformer_jax.data.tfds_pairs import from_tfds


class Unreachable(tfds.core.GeneratorBasedBuilder):
    """A data set whose download fails."""

    name = "unreachable_translate"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.Translation(languages=("en", "de"))
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        raise ConnectionError("the server\nis away")

    def _generate_examples(self):
        yield from ()


make_few_splits = partial(cldr.make_splits, num_phrases=3_000, num_held_out=100)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where data sets are prepared, the built-in one with few pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cldr, "make_splits", make_few_splits)
        yield str(tmp_path_factory.mktemp("tfds"))


def test_cldr_through_tfds_is_what_was_generated(data_dir):
    for split, expected in make_few_splits("en", "de").items():
        pairs = load_pairs(
            DataConfig(dataset="cldr_translate/en_de", data_dir=data_dir), split
        )
        assert len(pairs) == len(expected)
        assert set(pairs) == set(expected)
    assert "tensorflow" not in sys.modules


def test_languages_give_the_direction(data_dir):
    read = {
        source: from_tfds(
            "cldr_translate/en_de",
            "test",
            source_language=source,
            target_language=target,
            data_dir=data_dir,
        )
        for source, target in (("en", "de"), ("de", "en"))
    }
    assert list(read["en"]) == [(source, target) for target, source in read["de"]]
    assert read["en"][3] == read["en"].read(3, 4)[0]
    assert "cldr_translate/en_de test, en to de" in read["en"].name


def test_a_part_of_a_split(data_dir):
    config = DataConfig(
        dataset="cldr_translate/en_de", data_dir=data_dir, validation_split="test[:10%]"
    )
    assert len(load_pairs(config, "validation")) == 10


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (
            {"dataset": "cldr_translat/en_de"},
            ["Did you mean cldr_translate?", "wmt14_"],
        ),
        ({"dataset": "cldr_translate/en_dd"}, ["'en_dd'", "en_de, en_fr, en_es"]),
        ({"dataset": "cldr_translate"}, ["no configuration", "en_de, en_fr, en_es"]),
        ({"dataset": "wmt14_translate/de_en"}, ["Did you mean de-en?", "fr-en"]),
        (
            {"dataset": "flores/neen"},
            ["data.dataset", "source_language='de'", "en, ne"],
        ),
        ({"dataset": "mnist"}, ["image, label"]),
        ({"source_language": "en"}, ["'en'", "target_language as well"]),
        ({"train_split": "trian"}, ["Did you mean train?", "validation, test"]),
        ({"train_split": "train[:x]"}, ["train[:x]"]),
        (
            {"dataset": "unreachable_translate"},
            ["unreachable_translate", "ConnectionError: the server is away"],
        ),
    ],
)
def test_what_tfds_does_not_have_is_refused(data_dir, settings, parts):
    given = {
        "dataset": "cldr_translate/en_de",
        "data_dir": data_dir,
        "source_language": "de",
        "target_language": "en",
    }
    expect_error(DataConfig(**{**given, **settings}), "train", "data.", *parts)


def test_preparing_prints_nothing_where_there_is_no_terminal(tmp_path, capsys):
    config = DataConfig(dataset="unreachable_translate", data_dir=str(tmp_path))
    expect_error(config, "train", "unreachable_translate")
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""  # No bar either: this is no terminal.


def test_wmt14_is_known_in_both_directions(tmp_path):
    """Nothing is downloaded: the languages are checked first."""
    config = DataConfig(
        dataset="wmt14_translate/de-en",
        source_language="fr",
        target_language="de",
        data_dir=str(tmp_path),
    )
    expect_error(config, "train", "source_language='fr'", "There is de, en.")
    assert not list(tmp_path.iterdir())
