"""A stack of layers as a scan over them, with stacked parameters."""

import flax.linen as nn

from transformer_jax import axes
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.rematerialisation import POLICIES


def stack_layers(
    layer: type[nn.Module], config: ModelConfig, num_layers: int, num_inputs: int
) -> nn.Module:
    """Returns a scan over `num_layers` layers with stacked parameters.

    Args:
        num_inputs: number of inputs that are the same for every layer: those between
            `x` and `deterministic` in the arguments of the layer.
    """
    unroll = min(config.scan_unroll or 1, num_layers)
    if config.remat != "none":
        layer = nn.remat(
            layer,
            static_argnums=(num_inputs + 2,),  # Counted with self and x.
            policy=POLICIES[config.remat],
            # In a loop the compiler cannot merge a recomputed product with the first
            # one. If the scan is fully unrolled it would, and undo rematerialisation.
            prevent_cse=unroll == num_layers,
        )
    scanned = nn.scan(
        layer,
        length=num_layers,
        unroll=unroll,
        in_axes=(nn.broadcast,) * (num_inputs + 1),
        variable_axes={"params": 0, "intermediates": 0},
        split_rngs={"params": True, "dropout": True},
        metadata_params={nn.PARTITION_NAME: axes.LAYERS},
    )
    return scanned(config)
