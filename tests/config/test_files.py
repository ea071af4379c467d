"""Configurations that extend others, and those that go by name."""

import json

import pytest

from transformer_jax.config.reading import config_from_dict, load_config
from transformer_jax.errors import InputError


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_what_a_file_states_replaces_what_it_extends(write):
    write("base.toml", "[model]\nd_model = 64\nnum_heads = 2\n[training]\nseed = 4\n")
    path = write("big.toml", 'extends = "base.toml"\n[model]\nd_model = 128\n')
    expected = {"model": {"d_model": 128, "num_heads": 2}, "training": {"seed": 4}}
    assert load_config(path) == config_from_dict(expected)


def test_what_is_extended_is_seen_from_the_file(write, tmp_path, monkeypatch):
    write("a/base.toml", "[training]\nseed = 1\n")
    write("b/base.toml", "[training]\nseed = 2\n")
    write("base.toml", "[training]\nseed = 3\n")
    write("a/middle.toml", 'extends = "../b/base.toml"\n')
    path = write("a/top.toml", 'extends = "middle.toml"\n')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).training.seed == 2
    other = write("a/other.toml", 'extends = "base.toml"\n')
    assert load_config(other).training.seed == 1


def test_a_configuration_of_the_package_is_extended_by_its_name(write):
    path = write("mine.toml", 'extends = "table3/C1"\n[model]\nnum_heads = 4\n')
    model = load_config(path).model
    assert (model.num_encoder_layers, model.num_heads) == (2, 4)


def test_json_extends_too(write):
    write("base.toml", "[training]\nseed = 5\n")
    path = write("mine.json", json.dumps({"extends": "base.toml"}))
    assert load_config(path).training.seed == 5


def test_a_value_replaces_a_table_and_is_refused(write):
    write("base.toml", "[model]\nd_model = 64\n")
    path = write("mine.toml", 'extends = "base.toml"\nmodel = 3\n')
    with pytest.raises(InputError, match=r"mine.toml: model=3 must be a table"):
        load_config(path)


@pytest.mark.parametrize("value", ["3", "true", '""', '["base.toml"]', "{a = 1}"])
def test_what_is_extended_must_be_a_name(value, write):
    path = write("mine.toml", f"extends = {value}\n")
    with pytest.raises(InputError, match=r"mine.toml: extends=.* must name a"):
        load_config(path)


def test_what_is_extended_must_exist(write):
    path = write("mine.toml", 'extends = "base.toml"\n')
    with pytest.raises(InputError, match=r"base.toml: .* cannot be read"):
        load_config(path)
    path = write("mine.toml", 'extends = "nosuch"\n')
    with pytest.raises(InputError, match=r"mine.toml extends nosuch: no such file"):
        load_config(path)


@pytest.mark.parametrize("other", ["mine.toml", "other.toml"])
def test_a_file_cannot_extend_itself(other, write):
    path = write("mine.toml", f'extends = "{other}"\n')
    write("other.toml", 'extends = "mine.toml"\n')
    with pytest.raises(InputError, match="cannot extend itself"):
        load_config(path)


def test_a_file_cannot_extend_itself_by_another_name(write):
    path = write("a/mine.toml", 'extends = "../a/mine.toml"\n')
    with pytest.raises(InputError, match="cannot extend itself"):
        load_config(path)


def test_what_extends_stored_settings_is_checked_as_what_a_user_writes(write):
    stored = {"version": "0.1.0", "training": {"seed": 7}}
    write("config.json", json.dumps(stored))
    path = write("mine.toml", 'extends = "config.json"\n[model]\nd_model = 64\n')
    assert load_config(path).training.seed == 7
    path = write("wrong.toml", 'extends = "config.json"\n[model]\nd_modle = 64\n')
    with pytest.raises(InputError, match="d_modle is not a setting"):
        load_config(path)


def test_a_fault_in_what_is_extended_names_the_file_that_was_asked_for(write):
    write("base.toml", "[model]\nd_modle = 64\n")
    path = write("mine.toml", 'extends = "base.toml"\n')
    with pytest.raises(InputError, match=r"mine.toml: model.d_modle is not a setting"):
        load_config(path)


def test_a_file_goes_before_a_configuration_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table3").mkdir()
    (tmp_path / "table3" / "C1").write_text("[training]\nseed = 6\n")
    assert load_config("table3/C1").training.seed == 6


@pytest.mark.parametrize("name", ["nosuch", "table3/Z9", "table3"])
def test_a_name_of_no_configuration_lists_them(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"own_pairs, table3/\.\.\., wmt14"):
        load_config(name)


FILES = {"train_source_path": "a.en", "train_target_path": "a.de"}
VALIDATION = {"validation_source_path": "v.en", "validation_target_path": "v.de"}
CORPORA = {"corpora": [{"weight": 1, **FILES}, {"weight": 2, "dataset": "b/c"}]}
OWN_VALIDATION = {"corpora": [{"weight": 1, **FILES, **VALIDATION}]}


@pytest.mark.parametrize(
    ("extended", "own", "expected"),
    [
        ({"dataset": "b/c"}, FILES, FILES),
        (CORPORA, FILES, FILES),
        ({**FILES, **VALIDATION}, {"dataset": "b/c"}, {"dataset": "b/c"}),
        (FILES, CORPORA, CORPORA),
        ({**FILES, **VALIDATION}, CORPORA, {**CORPORA, **VALIDATION}),
        ({**FILES, **VALIDATION}, OWN_VALIDATION, OWN_VALIDATION),
        ({"corpora_temperature": 5, "corpora": [FILES]}, FILES, FILES),
        (
            {**FILES, **VALIDATION},
            {"train_target_path": "b.de"},
            {**FILES, **VALIDATION, "train_target_path": "b.de"},
        ),
        (FILES, {"target_length": 9}, {**FILES, "target_length": 9}),
        (FILES, {"corpora": [], "dataset": "none"}, FILES),
    ],
)
def test_text_replaces_all_that_names_text(write, extended, own, expected):
    write("base.json", json.dumps({"data": extended}))
    path = write("own.json", json.dumps({"extends": "base.json", "data": own}))
    assert load_config(path) == config_from_dict({"data": expected})


def test_a_run_is_named_by_its_directory(write):
    write("run/config.json", json.dumps({"training": {"seed": 4}}))
    path = write("own.toml", 'extends = "run"\n')
    assert load_config(path).training.seed == 4
    assert load_config(path.parent / "run").training.seed == 4


@pytest.mark.parametrize("name", ["generl/config.json", "folder"])
def test_an_error_names_the_file_that_extends(write, name):
    write("folder/other.txt", "")
    path = write("own.toml", f'extends = "{name}"\n')
    with pytest.raises(InputError, match=rf"own.toml extends .*{name}: .*cannot be"):
        load_config(path)
