"""What the heads of a model attend to. Paper: figures 3 to 5."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.transformer import Transformer


def attention_weights_of(
    config: ModelConfig,
    params: Any,
    source: Sequence[int],
    target_inputs: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the weights of encoder, decoder and cross-attention for one pair.

    Each float32 `[layers, heads, query, key]`.
    """
    apply = functools.partial(
        Transformer(config).apply, deterministic=True, mutable=["intermediates"]
    )
    _, variables = jax.jit(apply)(
        {"params": params}, jnp.asarray([source]), jnp.asarray([target_inputs])
    )
    found = variables["intermediates"]

    def weights(stack: str, attention: str) -> np.ndarray:
        return np.asarray(found[stack][attention]["attention_weights"][0][:, 0])

    return (
        weights("encoder", "self_attention"),
        weights("decoder", "self_attention"),
        weights("decoder", "cross_attention"),
    )
