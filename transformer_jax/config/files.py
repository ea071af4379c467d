"""The files that settings stand in, and the files that these extend."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformer_jax.errors import InputError
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.path_names import path_name
from transformer_jax.storage.work_directory import is_remote, work_directory

# The folder configs/ of the repository, in an installed package too.
_CONFIGS = Path(__file__).parents[1] / "configs"

VERSION_KEY = "version"
"""In stored settings: the version of the package that has stored them."""
_EXTENDS = "extends"
_TRAINING_TEXT = ("dataset", "corpora", "train_source_path", "train_target_path")


def settings_in_file(name: str | os.PathLike[str]) -> tuple[Path, Any]:
    """Returns the path of a configuration, and the tables in it, not checked yet.

    A file with `extends = "other.toml"` at its top has the settings of that file, but
    those that it states itself.

    Args:
        name: a file, TOML or JSON, or the name of a configuration of this package, or
            the work directory of a run, whose settings are meant.

    Raises:
        InputError: no such file, not TOML or JSON, or files that extend each other.
    """
    name = path_name("the configuration", name)
    path = work_directory(name) if is_remote(name) else _find(name)
    try:
        return path, _read(path, {})
    except OSError as error:
        raise _cannot_be_read(path, error) from None


def _read(path: Path, extending: dict[str, Path]) -> Any:
    """Returns the tables of a file that others extend, by their real paths."""
    real = str(path) if is_remote(path) else os.path.realpath(path)
    if real in extending:
        chain = " extends ".join(map(str, [*extending.values(), path]))
        raise InputError(f"{chain}: a configuration cannot extend itself.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _cannot_be_read(path, error) from None
    is_json = path.suffix == ".json"
    try:
        mapping = parse_json(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Nobody writes the JSON of a run by hand.
        advice = "; restore the file, or name another" if is_json else ""
        raise InputError(f"{path}: {error}{advice}") from None
    if not isinstance(mapping, dict) or _EXTENDS not in mapping:
        return mapping
    other = mapping.pop(_EXTENDS)
    if not isinstance(other, str) or not other:
        raise InputError(
            f"{path}: extends={other!r:.60} must name a configuration, or a file, "
            "seen from this one."
        )
    beside = path.parent / other
    try:
        found = beside if is_remote(path) else _find(other, beside)
    except InputError as error:
        raise InputError(f"{path} extends {error}") from None
    try:
        extended = _read(found, {**extending, real: path})
    except OSError as error:
        raise _cannot_be_read(f"{path} extends {found}", error) from None
    if isinstance(extended, dict):
        # What a run has stored is checked as strictly here as what a user writes.
        extended.pop(VERSION_KEY, None)
    return _merge(_without_replaced_text(extended, mapping), mapping)


def _without_replaced_text(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Returns tables without the text in place of which the changes name another.

    A data set, files and corpora exclude each other: what a file names replaces all
    that the extended one does, and not only what has the same name.
    """
    own = changes.get("data")
    data = settings.get("data") if isinstance(settings, dict) else None
    if not isinstance(own, Mapping) or not isinstance(data, Mapping):
        return settings
    named = {name for name in _TRAINING_TEXT if own.get(name) not in (None, "none", [])}
    replaced = set(_TRAINING_TEXT) - named if named else set()
    if named and named <= {"train_source_path", "train_target_path"}:
        replaced = {"dataset", "corpora"}  # The other side stays.
    if "corpora" in replaced:
        replaced.add("corpora_temperature")
    given = own.get("corpora")
    corpora = given if isinstance(given, list) else []
    for split in "validation", "test":
        paths = {f"{split}_{side}_path" for side in ("source", "target")}
        have_own = any(paths & set(corpus) for corpus in corpora if corpus)
        if have_own or "dataset" in named:
            replaced |= paths
    kept = {name: value for name, value in data.items() if name not in replaced}
    return {**settings, "data": kept}


def _merge(settings: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns tables of settings with changes; what is no table replaces another."""
    if not isinstance(settings, Mapping):
        return dict(changes)
    return {
        **settings,
        **{
            name: _merge(settings.get(name), value)
            if isinstance(value, Mapping)
            else value
            for name, value in changes.items()
        },
    }


def _find(name: str, path: Path | None = None) -> Path:
    """Returns the path of a file, or of a configuration of this package by its name.

    Args:
        path: where the file is; None = at `name`.
    """
    path = path or Path(name)
    try:
        is_there = path.exists()
        if path.is_dir() and (path / "config.json").is_file():
            return path / "config.json"  # Of a run.
    except OSError as error:  # As a name that is too long.
        raise _cannot_be_read(path, error) from None
    folder = Path(name).parent
    is_name = not folder.is_absolute() and (_CONFIGS / folder).is_dir()
    if is_there or path.suffix or not is_name:
        return path
    ours = sorted(_CONFIGS.rglob("*.toml"))
    by_name = {
        file.relative_to(_CONFIGS).with_suffix("").as_posix(): file for file in ours
    }
    if name in by_name:
        return by_name[name]
    known = dict.fromkeys(
        f"{each.partition('/')[0]}/..." if "/" in each else each for each in by_name
    )
    raise InputError(
        f"{name}: no such file, and no configuration of that name; those that come "
        f"with this package are {', '.join(known)}."
    )


def _cannot_be_read(path: Path | str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"{path}: the configuration cannot be read ({reason}).")
