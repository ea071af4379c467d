"""Flags for the settings of decoding. Only flags that are given reach the command.

The flags form a typed dictionary in which every key may be absent: a flag that is left
out (the setting stays as configured) is not the same as None (off).
"""

import ast
import inspect
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_type_hints

import tyro

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import DecodingSettings


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


def _make_flags(title: str, *names: str) -> Any:
    """Returns the type of an argument that takes these settings as flags."""
    hints, descriptions = get_type_hints(DecodingConfig), _read_descriptions()
    fields: Any = {
        name: Annotated[hints[name], tyro.conf.arg(help=descriptions.get(name, ""))]
        for name in names or hints
    }
    flags: Any = TypedDict(title, fields, total=False)
    return Annotated[flags, tyro.conf.arg(name="")]


if TYPE_CHECKING:
    DecodingFlags = DecodingSettings
    ScoringFlags = DecodingSettings
else:
    DecodingFlags = _make_flags("DecodingFlags")
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

AS_CONFIGURED: DecodingSettings = {}
"""The default of an argument of the type `DecodingFlags`: no flag is given."""
