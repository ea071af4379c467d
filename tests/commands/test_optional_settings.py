"""One rule for settings on the command line, in TOML and in JSON, over all fields.

What is left out stays as configured; "none", in any case, is off where a setting may be
off, and an error elsewhere; true and false can both be said.
"""

import dataclasses
import typing

import pytest

from transformer_jax import cli
from transformer_jax.commands.decoding_flags import (
    AS_CONFIGURED,
    DecodingFlags,
    ScoringFlags,
)
from transformer_jax.commands.settings import PAPER_BASE, ConfigFile, Settings
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_from_dict, load_config
from transformer_jax.errors import InputError

FIELDS = {
    (section.name, name): hint
    for section in dataclasses.fields(ExperimentConfig)
    for name, hint in typing.get_type_hints(
        type(getattr(PAPER_BASE, section.name))
    ).items()
}
OPTIONAL = [f for f, hint in FIELDS.items() if type(None) in typing.get_args(hint)]
BOOLEAN = [f for f, hint in FIELDS.items() if hint is bool]
# What a setting is switched off from; the configured value of most is None.
ON = {
    int: 5, float: 0.5, str: "something", "bfloat16": "bfloat16",
}  # fmt: skip


def a_value(hint):
    """Returns some value other than None that a setting of this type may have."""
    option = next(o for o in typing.get_args(hint) if o is not type(None))
    return typing.get_args(option)[0] if typing.get_args(option) else ON[option]


@pytest.fixture
def parsed(monkeypatch):
    """Returns `arguments -> what the command gets`, by the program's own parser."""

    def parse(*arguments, flags=None, path="wmt14_en_de_base"):
        got = []

        def train(config: ConfigFile, /, settings: Settings = PAPER_BASE) -> None:
            got.append(settings)

        def translate(config: ConfigFile, /, decoding: flags = AS_CONFIGURED) -> None:
            got.append(decoding)

        command = train if flags is None else translate
        monkeypatch.setattr(cli, "COMMANDS", {"run": command, "other": command})
        assert cli.main(["run", str(path), *arguments]) == 0
        return got[0]

    return parse


def flag(section, name):
    return f"--{section}.{name}".replace("_", "-")


@pytest.mark.parametrize("spelling", ["none", "None", "NONE"])
def test_none_switches_every_optional_setting_off(spelling, parsed):
    assert len(OPTIONAL) > 25
    arguments = [x for field in OPTIONAL for x in (flag(*field), spelling)]
    from_shell = parsed(*arguments)
    for section, name in OPTIONAL:
        assert getattr(getattr(from_shell, section), name) is None
        assert config_from_dict({section: {name: spelling}}) == config_from_dict(
            {section: {name: None}}
        )
    joined = [f"{flag(*field)}={spelling}" for field in OPTIONAL]
    assert parsed(*joined) == from_shell


def test_what_is_left_out_stays_as_configured(parsed):
    assert parsed() == load_config("wmt14_en_de_base")
    assert parsed(flags=DecodingFlags) == {}
    assert parsed(flags=ScoringFlags) == {}


def test_a_value_in_the_file_is_switched_off_by_the_command_line(tmp_path, parsed):
    path = tmp_path / "config.toml"
    paths = ("validation_source_path", "validation_target_path")
    path.write_text("[data]\n" + "".join(f'{name} = "some.txt"\n' for name in paths))
    assert parsed(path=path).data.validation_source_path == "some.txt"
    off = [f"--data.{paths[0]}", "none", f"--data.{paths[1]}=none"]
    assert parsed(*off, path=path) == PAPER_BASE


@pytest.mark.parametrize(("section", "name"), BOOLEAN)
def test_a_boolean_can_be_said_both_ways(section, name, parsed):
    def value(said):
        # A vocabulary for each language cannot share one matrix.
        settings = parsed(said, "--model.share-embeddings", "none")
        return getattr(getattr(settings, section), name)

    off = f"--{section}.no-{name}".replace("_", "-")
    assert (value(flag(section, name)), value(off)) == (True, False)


def test_flags_of_decoding_tell_none_and_false_from_left_out(parsed):
    hints = typing.get_type_hints(DecodingConfig)
    optional = [n for n, hint in hints.items() if type(None) in typing.get_args(hint)]
    flags = [x for n in optional for x in (f"--{n}".replace("_", "-"), "none")]
    got = parsed(*flags, "--no-sampling", flags=DecodingFlags)
    assert got == {**dict.fromkeys(optional), "sampling": False}
    on = parsed("--sampling", flags=DecodingFlags)
    assert on == {"sampling": True}


def test_a_choice_of_that_name_is_no_switch(parsed):
    arguments = ["--length-penalty", "none", "--top-k", "none"]
    got = parsed(*arguments, flags=DecodingFlags)
    assert got == {"length_penalty": "none", "top_k": None}
    assert parsed("--model.remat", "none").model.remat == "none"


def test_none_is_an_error_where_a_setting_must_have_a_value(capsys):
    for section, name in set(FIELDS) - set(OPTIONAL):
        hint = FIELDS[section, name]
        if hint is str or "none" in typing.get_args(hint):
            continue
        with pytest.raises(InputError, match=rf"{section}\.{name}='none'"):
            config_from_dict({section: {name: "none"}})
    arguments = ["multi30k_en_de", "--workdir", "w", "--training.seed", "none"]
    assert cli.main(["train", *arguments]) == 2
    assert "training.seed" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["none", "None", "NONE"])
def test_optional_flags_of_commands_are_off_in_the_same_way(word):
    spell = cli.spell_none
    translate, bleu = cli.COMMANDS["translate"], cli.COMMANDS["bleu"]
    assert spell(["translate", "--output", word], translate)[-1] == "None"
    assert spell([f"--prefixes={word}"], translate) == ["--prefixes=None"]
    assert spell(["--num-processes", word], translate)[-1] == "None"
    # A choice of this name, and a flag that cannot be off.
    assert spell(["--tokenizer", word], bleu)[-1] == word
    assert spell(["--hypothesis", word], bleu)[-1] == word
