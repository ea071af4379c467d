"""Tiling of the attention kernel: the part of a row that one step computes."""

from dataclasses import dataclass

from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from transformer_jax.errors import InputError

# A kernel may use 16 MiB on each TPU generation; the rest is a margin.
VECTOR_MEMORY_BYTES = 14 * 2**20
# Width of a TPU register. Slices of arrays must be multiples of it.
LANES = 128
# Queries in a tile. More of them save little, as all keys are in memory anyway.
MAX_QUERIES = 256
# Heads in a tile, if there is a choice. The kernel is unrolled over heads, so more of
# them only take longer to compile.
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
        """Number of pairs of a query and a key, over all heads and rows."""
        return self.rows * self.num_heads * self.num_queries * self.num_keys


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The part that one step computes: some heads, some queries, and all keys."""

    num_heads: int
    num_queries: int


class Blocks:
    """The block of each array that a step `(row, heads, queries)` of the grid reads."""

    def __init__(self, shape: AttentionShape) -> None:
        tile = self.tile = choose_tile(shape)
        self.grid = (
            shape.rows,
            shape.num_heads // tile.num_heads,
            shape.num_queries // tile.num_queries,
        )
        queries, keys = tile.num_queries, shape.num_keys
        d_k, d_v = tile.num_heads * shape.d_k, tile.num_heads * shape.d_v
        self.input_specs = [
            pl.BlockSpec((1, 1, queries), lambda row, heads, i: (row, 0, i)),
            pl.BlockSpec((1, 1, keys), lambda row, heads, i: (row, 0, 0)),
            pl.BlockSpec((1, queries, d_k), lambda row, heads, i: (row, i, heads)),
            pl.BlockSpec((1, keys, d_k), lambda row, heads, i: (row, 0, heads)),
            pl.BlockSpec((1, keys, d_v), lambda row, heads, i: (row, 0, heads)),
        ]
        self.result_spec = pl.BlockSpec(
            (1, queries, d_v), lambda row, heads, i: (row, i, heads)
        )
        # In order over queries: the gradients of key and value are sums over queries.
        self.compiler_params = pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary")
        )


def choose_tile(shape: AttentionShape) -> Tile:
    """Returns the tile for the shape: many queries first, then many heads.

    Raises:
        InputError: none fits.
    """
    for num_queries in _query_blocks(shape.num_queries):
        for num_heads in _head_groups(shape):
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
    """Returns about how many bytes a step of the backward pass, the larger, needs."""
    d_k, d_v = tile.num_heads * shape.d_k, tile.num_heads * shape.d_v
    queries, keys = tile.num_queries * (d_k + d_v), shape.num_keys * (d_k + d_v)
    # Inputs and gradients, twice: the next step's are loaded during this one.
    moved = 2 * shape.itemsize * (queries + tile.num_queries * d_k + 2 * keys)
    # Gradients in float32 and the transposed inputs.
    kept = 4 * keys + shape.itemsize * (queries + keys)
    # Scores, weights and their gradients in float32, two heads of them at once.
    scores = 4 * 6 * tile.num_queries * shape.num_keys
    return moved + kept + scores


def _query_blocks(length: int) -> list[int]:
    """Returns block sizes that divide the length, largest first, and the length."""
    blocks = [b for b in range(MAX_QUERIES, 0, -LANES) if length % b == 0]
    return [length, *blocks] if length <= MAX_QUERIES else [*blocks, length]


def _head_groups(shape: AttentionShape) -> list[int]:
    """Returns group sizes whose slices of the last axis are whole registers."""
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
