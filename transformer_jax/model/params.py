"""The type of a model's parameters."""

from typing import TYPE_CHECKING, TypeAlias

from jaxtyping import Array, PyTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    Params: TypeAlias = Mapping[str, "Array | Params"]
    """Nested dictionaries of float32 arrays, named after the modules of the model."""
else:
    Params = PyTree
