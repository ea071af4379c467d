"""Settings of any kind make a configuration that can be stored, or are refused."""

import dataclasses
import json
import tomllib
import typing
from pathlib import Path

from any_text import json_values, outcome, texts
from hypothesis import given
from hypothesis import strategies as st

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import (
    config_from_dict,
    config_to_dict,
    config_to_store,
    differences,
    load_config,
    stored_config,
)
from transformer_jax.errors import InputError

DEFAULT = config_to_dict(ExperimentConfig())
FIELDS = {
    (section, name): hint
    for section, kind in typing.get_type_hints(ExperimentConfig).items()
    for name, hint in typing.get_type_hints(kind).items()
}
CORPUS_FIELDS = [field.name for field in dataclasses.fields(CorpusConfig)]
TOML = (Path(__file__).parents[2] / "configs" / "cldr_en_de.toml").read_bytes()
HUGE = [10**400, -(10**400), 10**5_000, [10**5_000], 2**63, float("inf")]
any_values = json_values | st.sampled_from(HUGE)
ODDITIES = (
    b"=", b"[", b"9" * 400, b"9" * 5_000, b"0x" + b"f" * 5_000, b"nan", b"inf", b"-",
    b"[[", b"{" * 3_000, b"[" * 600 + b"]" * 600, b"\r", b'"""', b"1e400", b"x = 1\n",
    b"\xef\xbb\xbf", b"2026-01-01",
)  # fmt: skip


def values_of(hint):
    """Values of the type of a setting, most of them in its range."""
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return st.lists(values_of(typing.get_args(hint)[0]), max_size=3)
    if args := typing.get_args(hint):
        return st.one_of(*map(values_of, args))
    if dataclasses.is_dataclass(hint):
        fields = typing.get_type_hints(hint).items()
        values = {name: values_of(kind) for name, kind in fields}
        return st.fixed_dictionaries({}, optional=values)
    return {
        int: st.sampled_from([1, 2, 8, 64, 512]) | st.integers(0, 2**33),
        float: st.sampled_from([0, 1, 0.5, 0.99]) | st.floats() | st.integers(),
        str: texts,
        bool: st.booleans(),
        type(None): st.none(),
    }[hint]


@st.composite
def settings_of_right_types(draw):
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=4))
    mapping = {}
    for section, name in fields:
        value = draw(values_of(FIELDS[section, name]))
        mapping.setdefault(section, {})[name] = value
    return mapping


@st.composite
def settings_of_any_kind(draw):
    mapping = draw(settings_of_right_types())
    for _ in range(draw(st.integers(1, 3))):
        section = draw(st.sampled_from(list(DEFAULT)) | texts)
        name = draw(st.sampled_from(list(DEFAULT.get(section, ["x"]))) | texts)
        value = draw(any_values)
        if draw(st.booleans()):
            mapping[section] = value
        elif isinstance(mapping.setdefault(section, {}), dict):
            mapping[section][name] = value
    return mapping


def made_or_refused(make):
    """Checks what comes of settings, whatever they are."""
    config = outcome(make)
    if isinstance(config, InputError):
        return
    stored = json.loads(json.dumps(config_to_dict(config), allow_nan=False))
    assert config_from_dict(stored) == config
    assert config_to_dict(config_from_dict(stored)) == config_to_dict(config)
    assert stored_config(config_to_store(config), "a test") == config
    assert not list(differences(config, config))
    assert hash(config) == hash(config_from_dict(stored))


@given(settings_of_right_types())
def test_settings_of_the_right_types(mapping):
    made_or_refused(lambda: config_from_dict(mapping))


@given(settings_of_any_kind())
def test_settings_of_any_kind(mapping):
    made_or_refused(lambda: config_from_dict(mapping))
    made_or_refused(lambda: stored_config({"version": "9.9", **mapping}, "a test"))


@given(st.lists(st.dictionaries(st.sampled_from(CORPUS_FIELDS) | texts, any_values)))
def test_corpora_of_any_kind(corpora):
    made_or_refused(lambda: config_from_dict({"data": {"corpora": corpora}}))
    named = [it for it in corpora if set(it) <= set(CORPUS_FIELDS)]
    made_or_refused(
        lambda: ExperimentConfig(
            data=DataConfig(corpora=tuple(CorpusConfig(**it) for it in named))
        )
    )


@given(any_values | st.dictionaries(st.none() | st.integers(), any_values))
def test_what_is_no_table(value):
    made_or_refused(lambda: config_from_dict(value))


@given(st.sampled_from(sorted(FIELDS)), any_values)
def test_a_setting_from_python(field, value):
    section, name = field
    kind = typing.get_type_hints(ExperimentConfig)[section]
    made_or_refused(
        lambda: dataclasses.replace(
            ExperimentConfig(), **{section: kind(**{name: value})}
        )
    )


@given(st.sampled_from([".toml", ".json", ""]), settings_of_right_types(), st.data())
def test_files_of_any_contents(tmp_path, ending, mapping, data):
    whole = TOML if ending == ".toml" else json.dumps(mapping).encode()
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    middle = data.draw(
        st.binary(max_size=6) | texts.map(str.encode) | st.sampled_from(ODDITIES)
    )
    path = tmp_path / f"config{ending}"
    path.write_bytes(whole[:start] + middle + whole[stop:])
    made_or_refused(lambda: load_config(path))


@given(st.text(max_size=20) | texts)
def test_names_of_any_kind(name):
    made_or_refused(lambda: load_config(name))


def test_the_text_that_is_changed_is_one_that_is_read():
    assert config_from_dict(tomllib.loads(TOML.decode())) != ExperimentConfig()
