"""Logical axis names, the only vocabulary the model and the mesh have in common.

The model says what an axis of a parameter or an activation *is*;
`transformer_jax.devices.sharding` says over which devices that is spread.
"""

BATCH = "batch"
LENGTH = "length"
EMBED = "embed"
VECTOR = "vector"  # The d_model of a scale or bias, too small to be worth spreading.
HEADS = "heads"
KV = "kv"
MLP = "mlp"
VOCAB = "vocab"
LAYERS = "layers"
