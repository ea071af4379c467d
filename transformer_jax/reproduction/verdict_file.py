"""The shape of `verdict.json`, and reading one that may be damaged or anyone's.

What is not of the shape is no verdict: `reproduce` makes it again, and the table of
several refuses it. So whoever reads a verdict may take its values as they are.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from transformer_jax.devices.agreement import decided_by_primary
from transformer_jax.errors import InputError
from transformer_jax.reproduction.scaling import Scale
from transformer_jax.reproduction.scores import MOST_LOSS
from transformer_jax.reproduction.targets import Target, find_target
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import (
    StoredPath,
    check_can_be_written,
    is_file,
)

VERDICT = "verdict.json"
PAGE = "verdict.md"
TRANSLATIONS = "translations.txt"

Check: TypeAlias = Callable[[Any], bool]
"""Whether a JSON value is what it can be."""

_MOST_COUNT = 2**63 - 1
# Of a resampled mean, the last digits may be above it.
_PERCENT = 100.001
# Rounding may take the loss of a model that is always right below 0.
_LEAST_PERPLEXITY = 0.999
_MOST_PERPLEXITY = math.exp(MOST_LOSS)


def _is_text(value: Any) -> bool:
    """Whether it is text that a file can have: no half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(least: float, most: float) -> Check:
    """Of finite numbers; true and false are none."""
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and least <= value <= most  # Not so of nan.
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and _number(0, _MOST_COUNT)(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check, least: int = 0) -> Check:
    return lambda value: (
        isinstance(value, list) and len(value) >= least and all(map(check, value))
    )


def _interval(check: Check) -> Check:
    return lambda value: (
        _list_of(check)(value) and len(value) == 2 and value[0] <= value[1]
    )


def _names_to_texts(least: int = 0) -> Check:
    return lambda value: (
        isinstance(value, Mapping)
        and len(value) >= least
        and all(map(_is_text, [*value, *value.values()]))
    )


def _table(shape: Mapping[str, Check]) -> Check:
    """Of tables that have each of these values, each as it can be."""
    return lambda value: (
        isinstance(value, Mapping)
        and shape.keys() <= value.keys()
        and all(check(value[name]) for name, check in shape.items())
    )


_percent = _number(0, _PERCENT)
_difference = _number(-_PERCENT, _PERCENT)
_perplexity = _or_none(_number(_LEAST_PERPLEXITY, _MOST_PERPLEXITY))
_amount = _number(0, 1e40)
_part = _number(0, 1)

# What the paper says, which a target knows.
_OF_TARGET: dict[str, Callable[[Target], Any]] = {
    "table": lambda target: target.table,
    "test_set": lambda target: target.test_set,
    "paper_score": lambda target: target.paper_score,
    "paper_perplexity": lambda target: target.paper_perplexity,
    "paper_parameters_millions": lambda target: target.paper_parameters,
    "paper_training_flops": lambda target: target.paper_flops,
}
_SCORE = {
    "name": _is_text,
    "value": _percent,
    "interval": _interval(_percent),
    "signature": _is_text,
}
_SCALE = dict.fromkeys(("updates", "width", "depth"), _part)
SHAPE: Mapping[str, Check] = {
    **dict.fromkeys(
        ("target", "table", "test_set", "scored_on", "data", "text", "hardware"),
        _is_text,
    ),
    **dict.fromkeys(("text_digest", "train_digest", "config_digest"), _is_text),
    **dict.fromkeys(
        ("num_sentences", "num_updates", "num_parameters", "seed"), _is_count
    ),
    **dict.fromkeys(("source_tokens", "target_tokens"), _is_count),
    **dict.fromkeys(("training_flops", "training_hours"), _amount),
    "score": _percent,
    "difference": _difference,
    "difference_interval": _interval(_difference),
    "is_met": _or_none(_is_flag),
    "is_full_run": _is_flag,
    "differs_by": _list_of(_is_text),
    "scale": _table(_SCALE),
    "chosen": _names_to_texts(),
    "scores": _list_of(_table(_SCORE), least=1),
    "perplexity_per_subword": _perplexity,
    "perplexity_per_word": _perplexity,
    "averaged_steps": _list_of(_is_count),
    "versions": _names_to_texts(least=1),
}
"""What a verdict has, and what each value can be."""


def is_verdict(value: Any) -> bool:
    """Returns whether JSON values are a verdict, whole and of this version."""
    if not _table(SHAPE)(value):
        return False
    try:
        target = find_target(value["target"])
        Scale(**value["scale"])
    except (InputError, TypeError):
        return False
    papers = {name: of(target) for name, of in _OF_TARGET.items()}
    is_known = papers.items() <= value.items()
    return is_known and bool(value["score"] == value["scores"][0]["value"])


def read_verdict(path: StoredPath) -> dict[str, Any] | None:
    """Returns a verdict that was stored; None if the file is none, or has none."""
    try:
        # A pipe of that name would wait for its writer.
        found: Any = parse_json(path.read_bytes()) if is_file(path) else None
    except ValueError:
        return None
    return {**found} if is_verdict(found) else None


def check_free_of_others(target: str, folder: StoredPath) -> None:
    """Checks that nothing is in the way of a verdict, and none on another target is.

    Raises:
        InputError: something is.
    """
    check_can_be_written(folder, VERDICT, PAGE, TRANSLATIONS)
    there = read_verdict(folder / VERDICT)
    if there is not None and there["target"] != target:
        raise InputError(
            f"{folder} has the verdict on {there['target']}, which that on {target} "
            "would replace: name another work directory."
        )


def known_verdict(folder: StoredPath, same: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the verdict that is there, if it is whole, and on this run as it is now.

    Args:
        same: what it must say.
    """

    def read() -> str:
        paths = [folder / name for name in (VERDICT, PAGE, TRANSLATIONS)]
        is_whole = all(path.exists() for path in paths)
        return json.dumps(read_verdict(paths[0]) if is_whole else None)

    verdict: dict[str, Any] | None = json.loads(
        decided_by_primary("the verdict that is there", read)
    )
    if verdict is None or not same.items() <= verdict.items():
        return None
    return verdict
