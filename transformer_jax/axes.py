"""Logical axis names of parameters and activations.

The model names its axes; `transformer_jax.devices.sharding` maps the names to axes of
the mesh. Neither knows more of the other.
"""

BATCH = "batch"
LENGTH = "length"
EMBED = "embed"
VECTOR = "vector"  # d_model of a scale or bias: too small to shard.
HEADS = "heads"
KV = "kv"
MLP = "mlp"
VOCAB = "vocab"
LAYERS = "layers"
