"""Sequential operations: the longest chain of products that wait for each other."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})


def longest_chain(function: Callable[..., Any], *arguments: Any) -> int:
    """Returns the number of products in the longest chain of a function.

    A product is in a chain with another if it needs, directly or through other
    operations, what the other makes. The steps of a scan are followed one by one.

    Args:
        arguments: arrays, or their shapes and dtypes.

    Raises:
        NotImplementedError: a loop or a branch whose steps depend on data.

    Paper: section 4, sequential operations.
    """
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    return max(_follow(program, [0] * len(program.invars)), default=0)


def _follow(program: Jaxpr, depths: Sequence[int]) -> list[int]:
    """Returns the products before each result, given those before each argument."""
    known: dict[Any, int] = dict(zip(program.invars, depths, strict=True))

    def depth(atom: Any) -> int:
        return 0 if isinstance(atom, Literal) else known.get(atom, 0)

    for equation in program.eqns:
        made = _through(equation, [depth(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, made, strict=True))
    return [depth(atom) for atom in program.outvars]


def _through(equation: Any, depths: list[int]) -> list[int]:
    name = equation.primitive.name
    if name in ("while", "cond"):
        raise NotImplementedError(f"{name}: its steps depend on data.")
    inner = [
        value.jaxpr if isinstance(value, ClosedJaxpr) else value
        for value in equation.params.values()
        if isinstance(value, ClosedJaxpr | Jaxpr)
    ]
    if name == "scan":
        return _through_scan(equation.params, inner[0], depths)
    if inner:
        return _follow(inner[0], depths)
    deepest = max(depths, default=0) + (name in _PRODUCTS)
    return [deepest] * len(equation.outvars)


def _through_scan(params: dict[str, Any], body: Jaxpr, depths: list[int]) -> list[int]:
    num_constants, num_carried = params["num_consts"], params["num_carry"]
    constants = depths[:num_constants]
    carried = depths[num_constants : num_constants + num_carried]
    slices = depths[num_constants + num_carried :]
    stacked = [0] * (len(body.outvars) - num_carried)
    for _ in range(params["length"]):
        made = _follow(body, [*constants, *carried, *slices])
        carried = made[:num_carried]
        stacked = list(map(max, stacked, made[num_carried:]))
    return carried + stacked
