"""Sentence pairs by index: files, TFDS data sets, lists, and what is refused."""

import sys
from functools import partial
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from transformer_jax.cldr_corpus import builder as cldr
from transformer_jax.config.experiment import DataConfig
from transformer_jax.data.sentence_pairs import from_files, from_list
from transformer_jax.data.source import load_pairs
from transformer_jax.data.tfds_pairs import from_tfds
from transformer_jax.errors import InputError

SHARED_DATA = Path(__file__).resolve().parents[2] / "../shared/data"
PAIRS = [("one", "eins"), ("", "leer"), ("three", "drei"), ("four", "")]


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


@pytest.fixture
def files(tmp_path):
    """Both paths of PAIRS."""
    paths = tmp_path / "text.en", tmp_path / "text.de"
    for path, lines in zip(paths, zip(*PAIRS, strict=True), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return tuple(map(str, paths))


def expect_error(config, split, *parts):
    with pytest.raises(InputError) as caught:
        load_pairs(config, split)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("kind", ["list", "files"])
def test_pairs_read_alike_by_index_range_and_iteration(kind, files):
    pairs = from_list(PAIRS) if kind == "list" else from_files(*files)
    assert len(pairs) == 4
    assert list(pairs) == PAIRS
    assert [pairs[index] for index in range(4)] == PAIRS
    assert pairs[-1] == PAIRS[-1]
    assert pairs.read(1, 3) == PAIRS[1:3]
    assert pairs.read(2, 2) == []
    for index in (4, -5):
        with pytest.raises(IndexError):
            pairs[index]


def test_iteration_crosses_blocks(monkeypatch):
    monkeypatch.setattr("transformer_jax.data.sentence_pairs._PAIRS_PER_READ", 3)
    assert list(from_list(PAIRS)) == PAIRS


def test_load_pairs_takes_the_files_of_each_split(files):
    config = DataConfig(train_source_path=files[0], train_target_path=files[1])
    pairs = load_pairs(config, "train")
    assert list(pairs) == PAIRS
    assert files[0] in pairs.name
    assert load_pairs(config, "validation") is None
    assert load_pairs(config, "test") is None


def test_files_of_different_length_are_refused(files):
    with Path(files[1]).open("a") as file:
        file.write("five\n")
    config = DataConfig(test_source_path=files[0], test_target_path=files[1])
    expect_error(
        config,
        "test",
        f"{files[0]} has 4",
        f"{files[1]} has 5",
        "data.test_source_path",
    )


def test_empty_and_absent_pairs_are_refused(tmp_path, files):
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(InputError, match="empty"):
        from_files(empty, empty)
    with pytest.raises(InputError, match="at least one"):
        from_list([])
    expect_error(DataConfig(), "train", "data.dataset", "data.train_source_path")


@pytest.mark.parametrize("bad", ["ab", ("a",), ("a", 1), ("a", "b", "c"), None])
def test_a_list_of_other_than_pairs_is_refused(bad):
    with pytest.raises(InputError, match="pair 1 of the given pairs"):
        from_list([("a", "b"), bad])


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


@pytest.mark.parametrize(
    ("source", "target", "num_pairs"),
    [
        ("multi30k/train.en", "multi30k/train.de", 29_000),
        ("tatoeba_en_de/train.en", "tatoeba_en_de/train.de", 163_422),
        ("canada_laws_en_fr/dev.en", "canada_laws_en_fr/dev.fr", None),
    ],
)
def test_real_corpora_are_read_as_python_reads_them(source, target, num_pairs):
    paths = SHARED_DATA / source, SHARED_DATA / target
    if not all(path.exists() for path in paths):
        pytest.skip(f"{source} is not in {SHARED_DATA}")
    pairs = from_files(*paths)
    expected = [
        path.read_bytes().decode().removesuffix("\n").split("\n") for path in paths
    ]
    assert list(pairs) == list(zip(*expected, strict=True))
    assert num_pairs is None or len(pairs) == num_pairs
