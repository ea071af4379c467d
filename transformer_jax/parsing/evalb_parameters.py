"""Settings of EVALB, and its parameter files."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformer_jax.errors import InputError
from transformer_jax.storage.path_names import expand_home
from transformer_jax.storage.text_streams import open_lines

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EvalbParameters:
    """What EVALB counts. The defaults are those of COLLINS.prm, used for parsers.

    Raises:
        InputError: a value of the wrong type.

    Example:
        >>> tj.EvalbParameters(cutoff_length=70).delete_labels[:2]
        ('TOP', '-NONE-')
    """

    labeled: bool = True
    """LABELED: whether constituents must have the same label, not only the same
    words."""
    cutoff_length: int = 40
    """CUTOFF_LEN: the most words of the sentences that are scored apart too."""
    max_errors: int = 10
    """MAX_ERROR: one error more than this is passed over, and the next one ends all."""
    delete_labels: tuple[str, ...] = ("TOP", "-NONE-", ",", ":", "``", "''", ".")
    """DELETE_LABEL: words with these tags are left out, and constituents with these
    labels are not counted."""
    delete_labels_for_length: tuple[str, ...] = ("-NONE-",)
    """DELETE_LABEL_FOR_LENGTH: tags of what is not counted in a sentence's length."""
    quote_labels: tuple[str, ...] = ()
    """QUOTE_LABEL: tags of ', " or / that are put back where numbers of words differ
    only because one of the two trees has a tag for it that is deleted."""
    equal_labels: Pairs = (("ADVP", "PRT"),)
    """EQ_LABEL: labels, or tags, that count as the same."""
    equal_words: Pairs = ()
    """EQ_WORD: words that count as the same."""

    def __post_init__(self) -> None:
        """Raises InputError for a value of the wrong type; makes lists tuples."""
        for name, value in vars(self).items():
            if name == "labeled":
                is_right, expected = isinstance(value, bool), "True or False"
            elif name in ("cutoff_length", "max_errors"):
                is_number = isinstance(value, int) and not isinstance(value, bool)
                is_right = is_number and value >= 0
                expected = "a number that is not negative"
            elif name.startswith("equal_"):
                is_right = isinstance(value, list | tuple) and all(
                    isinstance(pair, tuple) and [*map(type, pair)] == [str, str]
                    for pair in value
                )
                expected = 'a tuple of pairs, as (("ADVP", "PRT"),)'
            else:
                several = isinstance(value, list | tuple)
                is_right = several and all(isinstance(label, str) for label in value)
                expected = 'a tuple of labels, as (".", ",")'
            if not is_right:
                raise InputError(f"{name}={value!r:.60} must be {expected}.")
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))


_FIELDS = {
    "LABELED": "labeled",
    "CUTOFF_LEN": "cutoff_length",
    "MAX_ERROR": "max_errors",
    "DELETE_LABEL": "delete_labels",
    "DELETE_LABEL_FOR_LENGTH": "delete_labels_for_length",
    "QUOTE_LABEL": "quote_labels",
    "EQ_LABEL": "equal_labels",
    "EQ_WORD": "equal_words",
}
_IGNORED = "DEBUG"  # It prints more, and changes no score.
_EMPTY = EvalbParameters(delete_labels=(), delete_labels_for_length=(), equal_labels=())


def load_evalb_parameters(path: str | os.PathLike[str]) -> EvalbParameters:
    """Returns the settings of a parameter file; what it does not name is off.

    Raises:
        InputError: it cannot be read, or has a keyword or value that EVALB has not.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("own.prm").write_text("DELETE_LABEL TOP")
        >>> tj.load_evalb_parameters("own.prm").delete_labels
        ('TOP',)
    """
    found: dict[str, Any] = vars(_EMPTY).copy()
    with open_lines(Path(expand_home(path))) as lines:
        for number, line in enumerate(lines, start=1):
            keyword, *values = line.split() or [""]
            if not keyword or keyword.startswith("#") or keyword == _IGNORED:
                continue
            if keyword not in _FIELDS:
                raise InputError(
                    f"{path}, line {number}: {keyword} is not a keyword of EVALB; "
                    f"expected one of {', '.join((*_FIELDS, _IGNORED))}."
                )
            read, expected = _reader(keyword)
            try:
                value = read(values)
            except ValueError:
                raise InputError(
                    f"{path}, line {number}: {line.strip()!r}: expected {expected} "
                    f"after {keyword}."
                ) from None
            name = _FIELDS[keyword]
            several = isinstance(found[name], tuple)
            found[name] = (*found[name], value) if several else value
    return EvalbParameters(**found)


def _reader(keyword: str) -> tuple[Callable[[list[str]], Any], str]:
    """Returns what makes a value of the words after a keyword, and what these are.

    It raises ValueError for other words.
    """
    if keyword == "LABELED":
        return _flag, "0 or 1"
    if keyword in ("CUTOFF_LEN", "MAX_ERROR"):
        return _number, "a number that is not negative"
    if keyword.startswith("EQ_"):
        return _pair, "two that are equal"
    return _label, "one label"


def _flag(values: list[str]) -> bool:
    (value,) = values
    return bool(("0", "1").index(value))


def _number(values: list[str]) -> int:
    (value,) = values
    if not (value.isascii() and value.isdecimal()):
        raise ValueError
    return int(value)


def _label(values: list[str]) -> str:
    (value,) = values
    return value


def _pair(values: list[str]) -> tuple[str, str]:
    first, second = values
    return first, second
