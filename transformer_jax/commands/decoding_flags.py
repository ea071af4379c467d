"""The settings of decoding as flags, each of which may be left out."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import tyro

from transformer_jax.config.decoding import DecodingConfig


def _optional(name: str, kind: Any) -> tuple[str, Any, Any]:
    if kind is bool:  # A flag without a value; left out it is False.
        return name, tyro.conf.FlagCreatePairsOff[bool], False
    return name, kind | None, None


# A subclass, so that the descriptions of the settings are found.
_Overrides = dataclasses.make_dataclass(
    "_Overrides",
    [_optional(name, kind) for name, kind in get_type_hints(DecodingConfig).items()],
    bases=(DecodingConfig,),
    frozen=True,
    kw_only=True,
    # What is left out fits no setting; what is given is checked with the others.
    namespace={"__post_init__": lambda self: None},
)

if TYPE_CHECKING:
    DecodingFlags = DecodingConfig
else:
    DecodingFlags = Annotated[_Overrides, tyro.conf.arg(name="")]

AS_CONFIGURED: DecodingConfig = _Overrides()
"""The default of an argument of the type `DecodingFlags`."""


def given(flags: DecodingConfig) -> dict[str, Any]:
    """Returns the settings that were given; the others are as configured."""
    return {
        name: value
        for name, value in vars(flags).items()
        if value is not None and value is not False
    }
