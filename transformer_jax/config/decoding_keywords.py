"""Decoding settings as keyword arguments: their types, and a check of their names."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Literal, ParamSpec, TypedDict, TypeVar

from transformer_jax.errors import InputError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class DecodingSettings(TypedDict, total=False):
    """Some fields of `DecodingConfig`, as keyword arguments.

    A function that takes `**decoding: Unpack[DecodingSettings]` lets type checkers see
    a misspelt name or a wrong type.
    """

    beam_size: int
    length_penalty: Literal["gnmt", "length", "none"]
    length_penalty_alpha: float
    coverage_penalty: float
    early_stopping: Literal["exact", "first"]
    min_length: int
    max_extra_length: int
    forbidden_tokens: tuple[int, ...]
    no_repeat_ngram_size: int | None
    sampling: bool
    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int
    batch_tokens: int | None
    max_source_tokens: int | None
    too_long: Literal["split", "refuse"]
    compute_dtype: Literal["float32", "bfloat16"] | None
    alignment_layer: int | None


class ParsingSettings(DecodingSettings, total=False):
    """Those, and whether a parser searches among well-formed trees only."""

    well_formed: bool


def refuse_misspelt_keywords(
    function: Callable[_Parameters, _Result],
) -> Callable[_Parameters, _Result]:
    """Returns a function that checks its keywords first, before it loads or translates.

    `function` takes `**decoding`, so Python takes a misspelt argument for one more
    setting. The returned function raises InputError for it, with the nearest name.
    """
    kinds = inspect.signature(function).parameters.values()
    named = [
        each.name
        for each in kinds
        if each.kind is not inspect.Parameter.VAR_KEYWORD and each.name != "self"
    ]

    @functools.wraps(function)
    def check_and_call(
        *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        check_keywords(kwargs, named)
        return function(*args, **kwargs)

    return check_and_call


def check_keywords(given: Iterable[str], arguments: Iterable[str] = ()) -> None:
    """Checks that each name is an argument of the function or a decoding setting.

    Raises:
        InputError: a name is neither.
    """
    arguments = list(arguments)
    known = sorted([*DecodingSettings.__annotations__, *arguments])
    for name in given:
        if name in known:
            continue
        nearest = difflib.get_close_matches(name, known, n=1)
        if not nearest:
            raise InputError(
                f"{name} is not a setting of decoding; expected one of "
                f"{', '.join(known)}."
            )
        what = "an argument" if nearest[0] in arguments else "a setting of decoding"
        raise InputError(f"{name} is not {what}; did you mean {nearest[0]}?")
