"""The model in a search: a function from the last tokens to the next-token logits."""

from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Array, Float, Int, PyTree

from transformer_jax.decoding.history import History

Cache: TypeAlias = PyTree


@runtime_checkable
class Step(Protocol):
    """Returns the next-token logits of every live hypothesis.

    Args:
        tokens: the last token of each hypothesis.
        positions: the position of these tokens, from 0.
        history: the places of earlier tokens in the cache. The search never reorders
            the cache: keys and values of `tokens` go to its slot `history.slot[0]`, at
            the place of their hypothesis, and `history.visible_places()` is the mask of
            what each hypothesis has read, `tokens` included.
        cache: as the call before returned it; any tree of `[batch, ...]` arrays, those
            of keys and values with `max_length * beam` places.

    Returns:
        Logits of the next token; the cache with this step written into `history.slot`;
        the attention to the source, `[batch, beam, source]`, or None without a
        coverage penalty.
    """

    def __call__(
        self,
        tokens: Int[Array, "batch beam"],
        positions: Int[Array, " batch"],
        history: History,
        cache: Cache,
    ) -> tuple[Float[Array, "batch beam vocab"], Cache, Array | None]: ...
