"""What a setting of None becomes on the hardware of the run."""

import dataclasses
from typing import Any

from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig


def for_platform(config: ExperimentConfig, mesh: Mesh) -> ExperimentConfig:
    """Returns the settings with those that None leaves to the hardware decided."""
    model, device = config.model, mesh.devices.flat[0]
    num_layers = max(model.num_encoder_layers, model.num_decoder_layers)
    # A tenth of a step's time; but more layers would keep the user waiting at first.
    unroll_all = device.platform == "cpu" and num_layers <= 4
    # The first TPUs have no products of bfloat16 in kernels.
    has_kernel = device.platform == "tpu" and device.device_kind not in (
        "TPU v2",
        "TPU v3",
    )
    in_kernel = has_kernel and not model.attention_dropout_rate
    return config.replace(
        model=_decided(
            model,
            scan_unroll=num_layers if unroll_all else 1,
            attention_kernel="pallas" if in_kernel else "xla",
        ),
        training=_decided(
            config.training,
            loss_slice_tokens=512 if device.platform == "tpu" else 2_048,
        ),
        decoding=_decided(
            config.decoding, batch_tokens=decoding_batch_tokens(config.decoding, mesh)
        ),
    )


def decoding_batch_tokens(settings: DecodingConfig, mesh: Mesh) -> int:
    """Returns the source tokens that a device translates or scores at a time."""
    is_cpu = mesh.devices.flat[0].platform == "cpu"
    return settings.batch_tokens or (2_048 if is_cpu else 32_768)


def _decided(section: Any, **values: Any) -> Any:
    """Returns the section with these values where it has None."""
    missing = {k: v for k, v in values.items() if getattr(section, k) is None}
    return dataclasses.replace(section, **missing)
