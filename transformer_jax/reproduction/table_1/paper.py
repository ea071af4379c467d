"""Table 1 as the paper has it, and the same with the constants of the layers here."""

from collections.abc import Mapping
from dataclasses import dataclass

from transformer_jax.model.band import Band
from transformer_jax.reproduction.table_1.layers import Size


@dataclass(frozen=True)
class PaperRow:
    """A row of Table 1."""

    title: str
    complexity: str
    length_exponent: int
    """Of n in the complexity."""
    width_exponent: int
    """Of d."""
    sequential: str
    path: str


ROWS: Mapping[str, PaperRow] = {
    "self_attention": PaperRow("self-attention", "O(n^2 d)", 2, 1, "O(1)", "O(1)"),
    "recurrent": PaperRow("recurrent", "O(n d^2)", 1, 2, "O(n)", "O(n)"),
    "convolutional": PaperRow(
        "convolutional", "O(k n d^2)", 1, 2, "O(1)", "O(log_k n)"
    ),
    "restricted": PaperRow(
        "self-attention (restricted)", "O(r n d)", 1, 1, "O(1)", "O(n/r)"
    ),
}
"""By the name of the layer."""

FORMULAS: Mapping[str, str] = {
    "self_attention": "4 n^2 d",
    "recurrent": "4 n d^2",
    "convolutional": "2 k n d^2",
    "restricted": "12 r n d",
    "self_attention_whole": "4 n^2 d + 8 n d^2",
    "restricted_whole": "12 r n d + 8 n d^2",
    "gru": "12 n d^2",
    "lstm": "16 n d^2",
}
"""Operations of the matrix products, forward; with the backward pass, three times."""


def product_flops(name: str, size: Size) -> int:
    """Returns the operations of the matrix products of a layer, forward.

    A multiplication and an addition are two. The gradients of each product are two
    products of its size: forward and backward are three times this number.

    Restricted self-attention computes whole blocks: r positions see 3 r, where the band
    itself has 2 r + 1; where that is the whole row, it computes as self-attention.
    """
    n, d = size.length, size.width
    if name.endswith("_whole"):
        part = product_flops(name.removesuffix("_whole"), size)
        return part + 8 * n * d**2  # W^Q, W^K, W^V, W^O
    if name == "self_attention":
        return 4 * n**2 * d
    if name == "restricted":
        band = Band(n, size.restricted, causal=False)
        seen = band.num_blocks * band.block * band.span if band.saves else n**2
        return 4 * seen * d
    if name == "convolutional":
        return 2 * size.kernel * n * d**2
    # Matrices of a cell, all d x d: of the input and of the state, for each gate.
    return {"recurrent": 2, "gru": 6, "lstm": 8}[name] * 2 * n * d**2
