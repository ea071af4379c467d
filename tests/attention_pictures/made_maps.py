"""Attention maps that no model has made."""

import numpy as np

from transformer_jax.translation.attention_maps import AttentionMaps


def made_maps(layers=(3, 2), heads=4, source=7, target=5, seed=0):
    """Returns random weights; each row is a distribution."""
    rng = np.random.default_rng(seed)

    def weights(number, queries, keys):
        drawn = rng.exponential(size=(number, heads, queries, keys)) ** 3
        return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)

    pieces = ["▁The", "▁m", "ice", '▁"<b>', "▁&amp;", "▁</script>", "▁été", "▁再"]
    sources = [pieces[index % len(pieces)] for index in range(source - 1)]
    return AttentionMaps(
        [*sources, "</s>"],
        ["<s>", *(f"▁word{index}" for index in range(target - 1))],
        weights(layers[0], source, source),
        weights(layers[1], target, target),
        weights(layers[1], target, source),
    )
