"""Attention weights of every layer and head for one sentence pair.

Paper: figures 3 to 5.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer


@dataclass(frozen=True)
class AttentionMaps:
    """Attention weights of one sentence pair, float32 [layers, heads, query, key]."""

    source_pieces: list[str]
    """Subwords of the source, end of sentence included."""
    target_pieces: list[str]
    """Subwords that the decoder reads: beginning of sentence, then the target."""
    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray


def attention_weights(
    config: ModelConfig,
    params: Params,
    source: Sequence[int],
    target_inputs: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights of encoder, decoder and cross-attention for one pair.

    Each is float32 `[layers, heads, query, key]`.
    """
    apply = functools.partial(
        Transformer(config).apply, deterministic=True, mutable=["intermediates"]
    )
    _, variables = jax.jit(apply)(
        {"params": params}, jnp.asarray([source]), jnp.asarray([target_inputs])
    )
    intermediates = variables["intermediates"]

    def weights(stack: str, attention: str) -> np.ndarray:
        (stacked,) = intermediates[stack][attention]["attention_weights"]
        return np.asarray(stacked[:, 0])

    return (
        weights("encoder", "self_attention"),
        weights("decoder", "self_attention"),
        weights("decoder", "cross_attention"),
    )
