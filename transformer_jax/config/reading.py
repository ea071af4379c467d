"""Settings from and to TOML, JSON and plain dictionaries.

What a user writes is read strictly. Settings that the package has stored, with its
version, may come from another version, and are read by this rule: what they lack has
its default; an unknown one is left out with a warning, but one of `model` or
`tokenizer` that is not off (null or false) is refused: the model would be another.
"""

import dataclasses
import difflib
import functools
import logging
import os
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from transformer_jax.config.checks import require_config, require_type, shown
from transformer_jax.config.corpora import CORPUS
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.files import VERSION_KEY, settings_in_file
from transformer_jax.config.text_files import TextPaths
from transformer_jax.errors import InputError
from transformer_jax.version import VERSION

if TYPE_CHECKING:
    from cattrs import Converter

# Sections that decide what the parameters of a model mean.
_OF_THE_MODEL = ("model", "tokenizer")

logger = logging.getLogger(__name__)


def load_config(path: str | os.PathLike[str]) -> ExperimentConfig:
    """Returns the settings in a TOML file, or in a `config.json` of a work directory.

    What the file leaves out has its default, the paper's base model; or, with
    `extends = "..."` at its top, the value of that other file.

    Args:
        path: a file, or the name of a configuration that comes with this package, as
            "multi30k_en_de" or "table3/A1", or a work directory. A file of that name
            goes first.

    Raises:
        InputError: no such file, not TOML, an unknown name or a wrong value.

    Example:
        >>> tj.load_config("wmt14_en_de_big").model.d_model
        1024
    """
    path, mapping = settings_in_file(path)
    if isinstance(mapping, dict) and VERSION_KEY in mapping:
        return stored_config(mapping, os.fspath(path))
    try:
        return config_from_dict(mapping)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def config_from_dict(mapping: Mapping[str, Any]) -> ExperimentConfig:
    """Returns the settings in a nested dictionary.

    TOML has no word for None: "none" stands for it where a setting may be None.

    Raises:
        InputError: an unknown name, a value of another type, or values that do not go
            together, with the setting's full name.

    Example:
        >>> config = tj.config_from_dict({"model": {"d_model": 256}})
        >>> config.model.d_model, config.model.d_ff
        (256, 2048)
    """
    checked = _check_mapping(mapping, ExperimentConfig, "")
    return _converter().structure(checked, ExperimentConfig)


def config_to_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Returns the settings as nested dictionaries of JSON values, defaults included.

    Raises:
        InputError: what is given are no settings.

    Example:
        >>> tj.config_to_dict(tj.ExperimentConfig())["optimizer"]["warmup_steps"]
        4000
    """
    require_config(config, ExperimentConfig)
    mapping: dict[str, Any] = _converter().unstructure(config)
    return mapping


def config_to_store(config: ExperimentConfig) -> dict[str, Any]:
    """Returns the settings as JSON values with the version of the package."""
    return {VERSION_KEY: VERSION, **config_to_dict(config)}


def stored_config(mapping: Mapping[str, Any], where: str) -> ExperimentConfig:
    """Returns settings that some version of the package has stored.

    Args:
        where: name of the file, for messages.

    Raises:
        InputError: this version cannot build what they describe.
    """
    version = mapping.get(VERSION_KEY, "an earlier one")
    known = {name: value for name, value in mapping.items() if name != VERSION_KEY}
    hints = typing.get_type_hints(ExperimentConfig)
    for section in [name for name in known if name not in hints]:
        logger.warning("%s: left out %s, of version %s", where, section, version)
        del known[section]
    for section, fields in known.items():
        if not isinstance(fields, Mapping):
            continue
        names = typing.get_type_hints(hints[section])
        for name in [name for name in fields if name not in names]:
            setting = f"{section}.{name}={shown(fields[name]):.60}"
            if section in _OF_THE_MODEL and fields[name] not in (None, False):
                raise InputError(
                    f"{where} was written by version {version} of transformer_jax; "
                    f"this is {VERSION}, which does not know {setting}: install that "
                    "version, or a later one."
                )
            logger.warning("%s: left out %s, of version %s", where, setting, version)
        known[section] = {k: v for k, v in fields.items() if k in names}
    try:
        return config_from_dict(known)
    except InputError as error:
        raise InputError(
            f"{where}, written by version {version} of transformer_jax (this is "
            f"{VERSION}): {error}"
        ) from None


def differences(old: ExperimentConfig, new: ExperimentConfig) -> Iterator[str]:
    """Returns `section.field: old -> new` for every setting that differs."""
    return differing_values(config_to_dict(old), config_to_dict(new))


def differing_values(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yields the same of settings as nested dictionaries."""
    for section, fields in new.items():
        for name, value in fields.items():
            before = old[section][name]
            if before != value:
                yield f"{section}.{name}: {before!r} -> {value!r}"


@functools.cache
def _converter() -> "Converter":
    import cattrs  # Not needed where settings are neither read nor written.

    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    converter.register_structure_hook(
        TextPaths | None, lambda value, _: tuple(value) if _is_list(value) else value
    )
    return converter


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _check_mapping(mapping: Any, kind: type, prefix: str) -> dict[str, Any]:
    """Returns the mapping with None for "none", for cattrs to convert.

    Raises:
        InputError: unknown names or wrong types.
    """
    if not isinstance(mapping, Mapping):
        where = prefix.rstrip(".") or "the configuration"
        raise InputError(f"{where}={shown(mapping)} must be a table of settings.")
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in mapping.items():
        if name not in hints:
            nearest = difflib.get_close_matches(str(name), hints, n=1)
            hint = (
                f"did you mean {prefix}{nearest[0]}?"
                if nearest
                else (f"expected one of {', '.join(sorted(hints))}.")
            )
            raise InputError(f"{prefix}{name} is not a setting; {hint}")
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _check_mapping(value, hints[name], f"{prefix}{name}.")
            continue
        if (table := _table_in_list(hints[name])) is not None:
            values[name] = _check_tables(value, table, f"{prefix}{name}")
            continue
        may_be_none = type(None) in typing.get_args(hints[name])
        is_none = isinstance(value, str) and value.lower() == "none"
        values[name] = None if is_none and may_be_none else value
        require_type(f"{prefix}{name}", values[name], hints[name])
    return values


def _table_in_list(hint: Any) -> type | None:
    """Returns the dataclass that a setting is a list of, if it is one."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None


def _check_tables(tables: Any, kind: type, name: str) -> tuple[dict[str, Any], ...]:
    """Returns the mappings of a list of tables, each checked under its number.

    Raises:
        InputError: it is no list, or a table is refused.
    """
    if not _is_list(tables):
        raise InputError(
            f"{name}={shown(tables):.60} must be a list of tables, as [[{name}]]."
        )
    checked = []
    for place, table in enumerate(tables):
        here = f"{name}[{place}]"
        checked.append(_check_mapping(table, kind, f"{here}."))
        try:
            _converter().structure(checked[-1], kind)
        except InputError as error:
            raise InputError(str(error).replace(CORPUS, here)) from None
    return tuple(checked)
