"""What a setting of None becomes on the hardware of a run."""

import dataclasses
from typing import Literal, TypeAlias

from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError

Dtype: TypeAlias = Literal["float32", "bfloat16"]


def decide_defaults(config: ExperimentConfig, mesh: Mesh) -> ExperimentConfig:
    """Returns the settings with those that None leaves to the hardware decided."""
    training = dataclasses.replace(
        config.training, loss_slice_tokens=loss_slice_tokens(config.training, mesh)
    )
    batch_tokens = decoding_batch_tokens(config.decoding, mesh)
    dtype, _ = decoding_dtypes(config.model, config.decoding, mesh)
    return config.replace(
        model=decide_model(config.model, mesh),
        training=training,
        decoding=config.decoding.replace(
            batch_tokens=batch_tokens, compute_dtype=dtype
        ),
    )


def decide_model(model: ModelConfig, mesh: Mesh) -> ModelConfig:
    """Returns the settings of a model with unrolling and attention kernel decided."""
    num_layers = max(model.num_encoder_layers, model.num_decoder_layers)
    # A tenth of a step's time; but more layers would keep the user waiting at first.
    unroll_all = _platform(mesh) == "cpu" and num_layers <= 4
    # The first TPUs have no products of bfloat16 in kernels.
    has_kernel = _platform(mesh) == "tpu" and mesh.devices.flat[0].device_kind not in (
        "TPU v2",
        "TPU v3",
    )
    in_kernel = has_kernel and not model.attention_dropout_rate
    unroll = num_layers if unroll_all else 1
    return dataclasses.replace(
        model,
        scan_unroll=unroll if model.scan_unroll is None else model.scan_unroll,
        attention_kernel=model.attention_kernel or ("pallas" if in_kernel else "xla"),
    )


def check_kernel(model: ModelConfig, mesh: Mesh) -> None:
    """Checks that the kernel of attention works on the devices.

    Raises:
        InputError: it does not.
    """
    if model.attention_kernel != "cudnn":
        return
    if _platform(mesh) != "gpu":
        raise InputError(
            "model.attention_kernel='cudnn' needs NVIDIA GPUs, and the devices here "
            f"are {_platform(mesh).upper()}s: use 'xla', or leave it out."
        )
    if model.compute_dtype != "bfloat16":
        raise InputError(
            f"model.attention_kernel='cudnn' needs model.compute_dtype='bfloat16', not "
            f"{model.compute_dtype!r}: NVIDIA's attention has no other."
        )


def loss_slice_tokens(settings: TrainingConfig, mesh: Mesh) -> int:
    """Returns the target positions whose logits a device holds at a time."""
    return settings.loss_slice_tokens or (512 if _platform(mesh) == "tpu" else 2_048)


def decoding_batch_tokens(settings: DecodingConfig, mesh: Mesh) -> int:
    """Returns the source tokens that a device translates or scores at a time."""
    on_cpu = _platform(mesh) == "cpu"
    return settings.batch_tokens or (2_048 if on_cpu else 32_768)


def cache_tile(mesh: Mesh) -> int:
    """Returns the places of a cache that a device reads together, whatever it needs."""
    return 1 if _platform(mesh) == "cpu" else 128


def decoding_dtypes(
    model: ModelConfig, settings: DecodingConfig, mesh: Mesh
) -> tuple[Dtype, Dtype]:
    """Returns the dtypes of a search: of products with weights, and of all else."""
    dtype = settings.compute_dtype or model.compute_dtype
    # CPUs are slow in all that is bfloat16 but large products.
    return dtype, "float32" if _platform(mesh) == "cpu" else dtype


def has_left_kernels(dtype: str, mesh: Mesh) -> bool:
    """Returns whether large kernels are left operands in a step of search.

    That is faster on CPUs, in float32; nothing else was measured.
    """
    return dtype == "float32" and _platform(mesh) == "cpu"


def _platform(mesh: Mesh) -> str:
    platform: str = mesh.devices.flat[0].platform
    return platform
