"""How much of a row one step of the attention kernel takes into the chip's memory."""

from dataclasses import dataclass

from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from transformer_jax.errors import InputError

# Of the 16 MiB that a kernel may have on any of the chips.
VECTOR_MEMORY_BYTES = 14 * 2**20
# A register of a TPU is this many numbers wide, and so must slices of an array be.
LANES = 128
# Queries at once: more saves little where all keys are at hand.
MAX_QUERIES = 256
# Heads at once, where there is a choice: each is written out in the kernel, so that
# more of them only take longer to compile.
MAX_HEADS = 8


@dataclass(frozen=True, kw_only=True)
class AttentionShape:
    """Sizes of attention over rows, as one device sees it."""

    rows: int
    num_queries: int
    num_keys: int
    num_heads: int
    d_k: int
    d_v: int
    itemsize: int
    """Bytes of a number in query, key and value."""

    @property
    def num_scores(self) -> int:
        """How many pairs of a query and a key there are, over heads and rows."""
        return self.rows * self.num_heads * self.num_queries * self.num_keys


@dataclass(frozen=True, kw_only=True)
class Tile:
    """What a step of the kernel computes: some heads, some queries, and all keys."""

    num_heads: int
    num_queries: int


class Blocks:
    """Which part of each array a step `(row, heads, queries)` of the grid has."""

    def __init__(self, shape: AttentionShape) -> None:
        tile = self.tile = choose_tile(shape)
        self.grid = (
            shape.rows,
            shape.num_heads // tile.num_heads,
            shape.num_queries // tile.num_queries,
        )
        queries, keys = tile.num_queries, shape.num_keys
        d_k, d_v = tile.num_heads * shape.d_k, tile.num_heads * shape.d_v
        self.of_inputs = [
            pl.BlockSpec((1, 1, queries), lambda row, heads, i: (row, 0, i)),
            pl.BlockSpec((1, 1, keys), lambda row, heads, i: (row, 0, 0)),
            pl.BlockSpec((1, queries, d_k), lambda row, heads, i: (row, i, heads)),
            pl.BlockSpec((1, keys, d_k), lambda row, heads, i: (row, 0, heads)),
            pl.BlockSpec((1, keys, d_v), lambda row, heads, i: (row, 0, heads)),
        ]
        self.of_result = pl.BlockSpec(
            (1, queries, d_v), lambda row, heads, i: (row, i, heads)
        )
        # Over queries in order: the gradients of key and value are sums over them.
        self.compiler_params = pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary")
        )


def choose_tile(shape: AttentionShape) -> Tile:
    """Returns the tile for the shape: many queries first, then many heads.

    Raises:
        InputError: none fits.
    """
    for num_queries in _choices_of_queries(shape.num_queries):
        for num_heads in _choices_of_heads(shape):
            tile = Tile(num_heads=num_heads, num_queries=num_queries)
            if tile_bytes(shape, tile) <= VECTOR_MEMORY_BYTES:
                return tile
    raise InputError(
        f"model.attention_kernel='pallas' cannot hold rows of {shape.num_queries} "
        f"queries and {shape.num_keys} keys with {shape.num_heads} heads of d_k="
        f"{shape.d_k} and d_v={shape.d_v} in a TPU's vector memory: shorten "
        f"data.source_length and data.target_length, make them multiples of {LANES}, "
        "or set model.attention_kernel='xla'."
    )


def tile_bytes(shape: AttentionShape, tile: Tile) -> int:
    """Returns about how much memory a step of the backward pass, the larger, takes."""
    d_k, d_v = tile.num_heads * shape.d_k, tile.num_heads * shape.d_v
    queries, keys = tile.num_queries * (d_k + d_v), shape.num_keys * (d_k + d_v)
    # Inputs and gradients, twice: the next step's arrive while this one's are used.
    moved = 2 * shape.itemsize * (queries + tile.num_queries * d_k + 2 * keys)
    # Gradients in float32 and the transposed inputs.
    kept = 4 * keys + shape.itemsize * (queries + keys)
    # Scores, weights and their gradients in float32, two heads of them at once.
    scores = 4 * 6 * tile.num_queries * shape.num_keys
    return moved + kept + scores


def _choices_of_queries(length: int) -> list[int]:
    """Blocks that divide the length, the largest first; at last the length itself."""
    blocks = [b for b in range(MAX_QUERIES, 0, -LANES) if length % b == 0]
    return [length, *blocks] if length <= MAX_QUERIES else [*blocks, length]


def _choices_of_heads(shape: AttentionShape) -> list[int]:
    """All heads, or groups whose part of the last axis is whole registers."""
    groups = [
        group
        for group in range(shape.num_heads, 0, -1)
        if shape.num_heads % group == 0
        and (
            group == shape.num_heads
            or (group * shape.d_k % LANES == 0 and group * shape.d_v % LANES == 0)
        )
    ]
    return sorted(groups, key=lambda group: group > MAX_HEADS)
