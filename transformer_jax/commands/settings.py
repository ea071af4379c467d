"""What the commands that take settings share: the flags, and their defaults."""

import functools
import inspect
import tomllib
from collections.abc import Callable
from typing import Annotated, Any

import tyro

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_from_dict, config_to_dict
from transformer_jax.errors import InputError

ConfigFile = tyro.conf.Positional[str]
Settings = Annotated[ExperimentConfig, tyro.conf.arg(name="")]
"""As an argument of a command: each setting is a flag, as --model.d-model."""

PAPER_BASE = ExperimentConfig()


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


def change_settings(settings: ExperimentConfig, text: str) -> ExperimentConfig:
    """Returns settings with some of them changed, as `model.remat=layer,mesh.fsdp=4`.

    A mesh that is named replaces the mesh as a whole.

    Raises:
        InputError: it cannot be read, or names a setting that is not there.
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
