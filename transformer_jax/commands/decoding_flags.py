"""Flags for the settings of decoding. Only flags that are given reach the command.

The flags form a typed dictionary in which every key may be absent: a flag that is left
out (the setting stays as configured) is not the same as None (off).
"""

import ast
import inspect
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypedDict,
    get_type_hints,
)

import tyro

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import DecodingSettings, ParsingSettings


def _read_descriptions() -> dict[str, str]:
    """Returns the docstring below each field of `DecodingConfig`."""
    (definition,) = ast.parse(inspect.getsource(DecodingConfig)).body
    assert isinstance(definition, ast.ClassDef)
    descriptions = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            text_of_field = ast.literal_eval(text.value)
            descriptions[field.target.id] = " ".join(str(text_of_field).split())
    return descriptions


def _make_flags(title: str, *names: str, **others: tuple[Any, str]) -> Any:
    """Returns the type of an argument that takes these settings as flags.

    Args:
        others: type and description of flags that are no settings of decoding.
    """
    hints, descriptions = get_type_hints(DecodingConfig), _read_descriptions()
    of_settings = {
        name: (hints[name], descriptions.get(name, "")) for name in names or hints
    }
    fields: Any = {
        name: Annotated[kind, tyro.conf.arg(help=text)]
        for name, (kind, text) in (of_settings | others).items()
    }
    flags: Any = TypedDict(title, fields, total=False)
    return Annotated[flags, tyro.conf.arg(name="")]


if TYPE_CHECKING:
    DecodingFlags = DecodingSettings
    ScoringFlags = DecodingSettings
    ParsingFlags = ParsingSettings
    EvaluationFlags = ParsingSettings
else:
    _WELL_FORMED = (
        bool,
        "Of a parser: search among well-formed trees only; otherwise what is no tree "
        "is mended, and how many were is told.",
    )
    DecodingFlags = _make_flags("DecodingFlags")
    EvaluationFlags = _make_flags("EvaluationFlags", well_formed=_WELL_FORMED)
    ParsingFlags = _make_flags(
        "ParsingFlags",
        "beam_size",
        "length_penalty",
        "length_penalty_alpha",
        "early_stopping",
        "max_extra_length",
        "sampling",
        "temperature",
        "top_k",
        "top_p",
        "seed",
        "batch_tokens",
        "compute_dtype",
        well_formed=_WELL_FORMED,
        max_source_tokens=(
            int | None,
            "Longest sentence that is parsed whole. None = 1,024, or the positions of "
            "the model.",
        ),
        too_long=(
            Literal["split", "refuse"],
            "Longer sentences are parsed in parts that stand side by side under the "
            "top, or refused.",
        ),
    )
    ScoringFlags = _make_flags(
        "ScoringFlags",
        "length_penalty",
        "length_penalty_alpha",
        "coverage_penalty",
        "max_extra_length",
        "batch_tokens",
        "max_source_tokens",
        "too_long",
        "compute_dtype",
        "alignment_layer",
    )

AS_CONFIGURED: ParsingSettings = {}
"""The default of an argument of the type `DecodingFlags`: no flag is given."""
