"""Flags for settings, and their defaults."""

import functools
import inspect
import re
import tomllib
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from transformer_jax.commands.startup import Processes
from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_from_dict, config_to_dict
from transformer_jax.errors import InputError

ConfigFile = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
Settings = Annotated[ExperimentConfig, tyro.conf.arg(name="")]
"""As an argument of a command: each setting is a flag, as --model.d-model."""

PAPER_BASE = ExperimentConfig()
_NUMBER = re.compile(r"\.\d+\.")


def takes_settings(command: Callable[..., None]) -> bool:
    """Returns whether a command has an argument `settings`."""
    return "settings" in inspect.signature(command).parameters


def with_defaults(
    command: Callable[..., None], settings: ExperimentConfig
) -> Callable[..., None]:
    """Returns the command with these settings as the defaults of its flags."""
    signature = inspect.signature(command)
    parameters = [
        p.replace(default=settings) if p.name == "settings" else p
        for p in signature.parameters.values()
    ]

    @functools.wraps(command)
    def run(*values: Any, **named: Any) -> None:
        command(*values, **named)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def spell_none(
    arguments: Sequence[str], command: Callable[..., None] | None = None
) -> list[str]:
    """Returns the arguments with `None` for `none`, in any case, where it means off.

    It means off after the flag of a setting that may be None, as in TOML and JSON, and
    after the optional flags of the command. Other flags may have a choice of that name,
    as --length-penalty none.
    """
    optional = _OPTIONAL_FLAGS | (set() if command is None else _flags_of(command))
    spelt, flag = [], ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            flag = _NUMBER.sub(".", name.replace("_", "-"))
            if equals and flag in optional and value.lower() == "none":
                argument = f"{name}=None"
        elif flag in optional and argument.lower() == "none":
            argument = "None"
        spelt.append(argument)
    return spelt


def _find_optional_flags() -> set[str]:
    sections = typing.get_type_hints(ExperimentConfig)
    flags = set()
    for section, kind in sections.items():
        for name, hint in typing.get_type_hints(kind).items():
            flag = f"--{section}.{name}".replace("_", "-")
            if hint == tuple[CorpusConfig, ...]:  # A table of it has --data.corpora.0.
                flags |= {
                    f"{flag}.{of_table}".replace("_", "-")
                    for of_table, kinds in typing.get_type_hints(CorpusConfig).items()
                    if type(None) in typing.get_args(kinds)
                }
            if type(None) in typing.get_args(hint):
                flags.add(flag)
                if kind is DecodingConfig:  # Without a section for a trained model.
                    flags.add(f"--{name}".replace("_", "-"))
    return flags


_OPTIONAL_FLAGS = _find_optional_flags()


def _flags_of(command: Callable[..., None]) -> set[str]:
    """Returns the flags of a command that may be None, except its settings."""
    hints = typing.get_type_hints(command) | typing.get_type_hints(Processes)
    return {
        f"--{name}".replace("_", "-")
        for name, hint in hints.items()
        if type(None) in typing.get_args(hint) and "none" not in _choices(hint)
    }


def _choices(hint: Any) -> set[Any]:
    """Returns the values of all literals in a type."""
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return set(options)
    return set().union(*map(_choices, options))


def change_settings(settings: ExperimentConfig, text: str) -> ExperimentConfig:
    """Returns the settings with changes such as `model.remat=layer,mesh.fsdp=4`.

    A change of the mesh replaces the whole mesh.

    Raises:
        InputError: the text cannot be read, or there is no such setting.
    """
    values = config_to_dict(settings)
    if "mesh." in text:
        values["mesh"] = {}
    for assignment in text.split(","):
        name, equals, value = assignment.strip().partition("=")
        section, dot, field = name.partition(".")
        if not (equals and dot and isinstance(values.get(section), dict)):
            raise InputError(
                f"--compare {text}: {assignment!r} must be section.field=value, as "
                "mesh.fsdp=4."
            )
        values[section][field] = _parse_value(value)
    return config_from_dict(values)


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
