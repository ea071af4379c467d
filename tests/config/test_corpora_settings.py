"""Tables `[[data.corpora]]`: read, written, refused under their number."""

import json

import pytest

from transformer_jax.commands.settings import spell_none
from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.config.reading import (
    config_from_dict,
    config_to_dict,
    differences,
    load_config,
    stored_config,
)
from transformer_jax.errors import InputError

TWO = """
[data]
source_language = "en"
[[data.corpora]]
name = "de"
weight = 3
tag = "<2de>"
train_source_path = ["a.en", "b.en"]
train_target_path = ["a.de", "b.de"]
[[data.corpora]]
name = "fr"
weight = 1.5
target_language = "fr"
dataset = "wmt14_translate/fr-en"
"""


def test_tables_become_corpora(tmp_path):
    (tmp_path / "two.toml").write_text(TWO)
    config = load_config(tmp_path / "two.toml")
    assert config.data.corpora == (
        CorpusConfig(
            name="de", weight=3.0, tag="<2de>",
            train_source_path=("a.en", "b.en"), train_target_path=("a.de", "b.de"),
        ),
        CorpusConfig(
            name="fr", weight=1.5, target_language="fr",
            dataset="wmt14_translate/fr-en",
        ),
    )  # fmt: skip
    hash(config)
    stored = json.loads(json.dumps(config_to_dict(config)))
    assert config_from_dict(stored) == config
    assert stored_config(stored, "config.json") == config
    assert list(differences(config, config_from_dict(stored))) == []


def test_settings_of_before_there_were_corpora_have_none():
    stored = config_to_dict(config_from_dict({}))
    del stored["data"]["corpora"], stored["data"]["corpora_temperature"]
    assert stored_config(stored, "config.json") == config_from_dict({})


def test_names_are_places_where_there_are_none():
    data = DataConfig(corpora=(CorpusConfig(), CorpusConfig(name="law")))
    assert data.corpus_names == ("0", "law")


FILES = {"train_source_path": "a", "train_target_path": "b"}
REFUSED = {
    "weight zero": ([{"weight": 1}, {"weight": 0}], "data.corpora[1].weight=0"),
    "weight infinite": ([{"weight": float("inf")}], "data.corpora[0].weight=inf"),
    "weight not a number": ([{"weight": float("nan")}], "data.corpora[0].weight=nan"),
    "weight a word": ([{}, {"weight": "x"}], "data.corpora[1].weight='x' must be a"),
    "misspelt": ([{}, {"weigth": 1}], "did you mean data.corpora[1].weight?"),
    "some weights": ([{"weight": 1}, {}], "data.corpora[1].weight is missing"),
    "lost beside": ([{"weight": 1e6}, {"weight": 1}], "data.corpora[1].weight=1.0 is"),
    "one side": ([{}, {"train_source_path": "a"}], "data.corpora[1].train_target_path"),
    "both": ([{"dataset": "d", **FILES}], "data.corpora[0].dataset='d' and data.corpora"
             "[0].train_source_path='a' exclude each other"),
    "tag of two words": ([{"tag": "to de"}], "data.corpora[0].tag='to de' must be one"),
    "tag with a line end": ([{"tag": "a\n"}], "data.corpora[0].tag"),
    "tag of a space": ([{"tag": "\u2581"}], "data.corpora[0].tag='\u2581' must be one"),
    "empty tag": ([{"tag": ""}], "data.corpora[0].tag=''"),
    "name": ([{"name": "a/b"}], "data.corpora[0].name='a/b' must be of letters"),
    "same name": ([{"name": "a"}, {"name": "a"}], "has the name 'a' twice"),
    "name of a place": ([{"name": "1"}, {}], "has the name '1' twice"),
    "one table": ({"weight": 1}, "must be a list of tables, as [[data.corpora]]"),
    "no table": ([3], "data.corpora[0]=3 must be a table"),
}  # fmt: skip


@pytest.mark.parametrize(("corpora", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_told_with_its_number(corpora, message):
    with pytest.raises(InputError) as told:
        config_from_dict({"data": {"corpora": corpora}})
    assert message in str(told.value)
    assert "\n" not in str(told.value)


TOGETHER = {
    "a data set beside": ({"dataset": "d"}, "data.dataset='d' and data.corpora excl"),
    "files beside": (FILES, "data.train_source_path='a' and data.corpora exclude"),
    "temperature and weights": ({"corpora_temperature": 2.0}, "exclude each other"),
    "validation twice": (
        {"validation_source_path": "v", "validation_target_path": "w"},
        "data.validation_source_path and data.corpora[1].validation_source_path",
    ),
}


@pytest.mark.parametrize(("others", "message"), TOGETHER.values(), ids=TOGETHER)
def test_settings_that_exclude_each_other(others, message):
    files = {"validation_source_path": "v", "validation_target_path": "w"}
    corpora = [{"weight": 1}, {"weight": 1, **files}]
    with pytest.raises(InputError) as told:
        config_from_dict({"data": {"corpora": corpora, **others}})
    assert message in str(told.value)


def test_temperature_needs_corpora_and_is_at_least_1():
    with pytest.raises(InputError, match=r"corpora_temperature=2.0 is for several"):
        DataConfig(corpora_temperature=2.0)
    with pytest.raises(InputError, match=r"corpora_temperature=0.5 must be at least 1"):
        DataConfig(corpora=(CorpusConfig(),), corpora_temperature=0.5)


def test_corpora_and_trees_exclude_each_other():
    with pytest.raises(InputError, match=r"data\.corpora=.* exclude each other"):
        config_from_dict(
            {"data": {"corpora": [{}]}, "treebank": {"train_paths": ["a.mrg"]}}
        )


def test_a_corpus_made_in_python_is_checked_when_it_is_made():
    with pytest.raises(InputError, match=r"data\.corpora\[\]\.weight=-1"):
        CorpusConfig(weight=-1)


def test_none_turns_off_a_setting_of_a_table():
    arguments = ["--data.corpora.1.tag", "none", "--data.corpora.0.weight=NONE"]
    assert spell_none(arguments) == [
        "--data.corpora.1.tag", "None", "--data.corpora.0.weight=None",
    ]  # fmt: skip
