"""Our weights as models of Hugging Face and CTranslate2, for the paper's base model.

The weights are a flat dictionary such as `encoder/feed_forward/inner/kernel`; those of
a layer are stacked over the layers. The others differ from ours as follows. Their
matrices are transposed. They have biases in attention and output, here 0. MarianMT
puts sines first and cosines after them: its table is replaced by interleaved sinusoids.
CTranslate2 fuses the projections of queries, keys and values.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.config.model import ModelConfig

Weights = dict[str, np.ndarray]

BOS_ID, EOS_ID, PAD_ID = 1, 2, 0
MAX_POSITIONS = 512


def sinusoids(model: ModelConfig) -> np.ndarray:
    """Returns a table of interleaved sinusoids, float32 [positions, d_model]."""
    wavelengths = 10_000.0 ** (np.arange(0, model.d_model, 2) / model.d_model)
    angles = np.arange(MAX_POSITIONS)[:, None] / wavelengths
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return pairs.reshape(MAX_POSITIONS, model.d_model).astype(np.float32)


def _layer(weights: Weights, side: str, number: int) -> Callable[[str], np.ndarray]:
    """Returns a function of a weight's name: the weight of this layer, `[out, in]`."""

    def weight(name: str) -> np.ndarray:
        array = weights[f"{side}/{name}"][number]
        if "attention/" in name and name.endswith("kernel"):
            is_output = name.split("/")[-2] == "output"
            shape = (-1, array.shape[-1]) if is_output else (array.shape[0], -1)
            array = array.reshape(shape)
        return np.ascontiguousarray(array.T)

    return weight


def marian_model(model: ModelConfig, weights: Weights) -> Any:
    """Returns a MarianMTModel that computes what our model does."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=model.vocab_size, d_model=model.d_model,
        encoder_layers=model.num_encoder_layers,
        decoder_layers=model.num_decoder_layers,
        encoder_ffn_dim=model.d_ff, decoder_ffn_dim=model.d_ff,
        encoder_attention_heads=model.num_heads,
        decoder_attention_heads=model.num_heads,
        max_position_embeddings=MAX_POSITIONS, activation_function="relu",
        scale_embedding=True, pad_token_id=PAD_ID, bos_token_id=BOS_ID,
        eos_token_id=EOS_ID, forced_eos_token_id=None, decoder_start_token_id=BOS_ID,
        attn_implementation="sdpa",
    )  # fmt: skip
    network = MarianMTModel(config).eval()
    state = {
        name: torch.zeros_like(value)
        for name, value in network.state_dict().items()
        if name.endswith("bias") or name == "final_logits_bias"
    }
    embedding = torch.from_numpy(weights["embedding/matrix"])
    for name in network.state_dict():
        if name.endswith(("shared.weight", "embed_tokens.weight", "lm_head.weight")):
            state[name] = embedding
        elif name.endswith("embed_positions.weight"):
            state[name] = torch.from_numpy(sinusoids(model))
    for side, number in _layers(model):
        weight = _layer(weights, side, number)
        for theirs, ours in _marian_names(side).items():
            state[f"model.{side}.layers.{number}.{theirs}"] = torch.from_numpy(
                weight(ours)
            )
    network.load_state_dict(state)
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = ModelConfig().norm_epsilon
    return network


def _layers(model: ModelConfig) -> list[tuple[str, int]]:
    encoder = [("encoder", i) for i in range(model.num_encoder_layers)]
    return encoder + [("decoder", i) for i in range(model.num_decoder_layers)]


def _marian_names(side: str) -> dict[str, str]:
    """Returns our name of each weight of a layer, by MarianMT's name."""
    blocks = {"self_attn": "self_attention"}
    if side == "decoder":
        blocks["encoder_attn"] = "cross_attention"
    parts = {"q": "query", "k": "key", "v": "value", "out": "output"}
    names = {
        f"{theirs}.{short}_proj.weight": f"{ours}/{part}/kernel"
        for theirs, ours in blocks.items()
        for short, part in parts.items()
    }
    for theirs, ours in (("fc1", "inner"), ("fc2", "outer")):
        names[f"{theirs}.weight"] = f"feed_forward/{ours}/kernel"
        names[f"{theirs}.bias"] = f"feed_forward/{ours}/bias"
    norms = {f"{theirs}_layer_norm": ours for theirs, ours in blocks.items()}
    for theirs, ours in {**norms, "final_layer_norm": "feed_forward"}.items():
        names[f"{theirs}.weight"] = f"{ours}_residual/norm/scale"
        names[f"{theirs}.bias"] = f"{ours}_residual/norm/bias"
    return names


def write_ctranslate2_model(
    model: ModelConfig, weights: Weights, directory: Path
) -> None:
    """Writes a CTranslate2 model that computes what ours does; token i is named "i"."""
    from ctranslate2.specs import transformer_spec

    spec = transformer_spec.TransformerSpec.from_config(
        (model.num_encoder_layers, model.num_decoder_layers),
        model.num_heads,
        pre_norm=False,
    )
    matrix = weights["embedding/matrix"]
    spec.encoder.embeddings[0].weight = matrix
    spec.decoder.embeddings.weight = matrix
    spec.decoder.projection.weight = matrix
    for half in (spec.encoder, spec.decoder):
        half.scale_embeddings = True
        half.position_encodings.encodings = sinusoids(model)
    for side, number in _layers(model):
        layer = getattr(spec, side).layer[number]
        weight = _layer(weights, side, number)
        _set_attention(layer.self_attention, weight, "self_attention")
        if side == "decoder":
            _set_attention(layer.attention, weight, "cross_attention")
        for theirs, ours in (("linear_0", "inner"), ("linear_1", "outer")):
            linear = getattr(layer.ffn, theirs)
            linear.weight = weight(f"feed_forward/{ours}/kernel")
            linear.bias = weight(f"feed_forward/{ours}/bias")
        _set_norm(layer.ffn.layer_norm, weight, "feed_forward")
    names = [str(i) for i in range(model.vocab_size)]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.bos_token = spec.config.decoder_start_token = names[BOS_ID]
    spec.config.eos_token, spec.config.unk_token = names[EOS_ID], names[PAD_ID]
    spec.config.layer_norm_epsilon = ModelConfig().norm_epsilon
    spec.validate()
    spec.optimize()
    directory.mkdir()
    spec.save(str(directory))


def _set_attention(spec: Any, weight: Callable[[str], np.ndarray], block: str) -> None:
    query, key, value, output = (
        weight(f"{block}/{part}/kernel") for part in ("query", "key", "value", "output")
    )
    if block == "self_attention":
        fused = [np.concatenate([query, key, value])]
    else:
        fused = [query, np.concatenate([key, value])]
    for linear, matrix in zip(spec.linear, [*fused, output], strict=True):
        linear.weight = matrix
        linear.bias = np.zeros(len(matrix), np.float32)
    _set_norm(spec.layer_norm, weight, block)


def _set_norm(spec: Any, weight: Callable[[str], np.ndarray], block: str) -> None:
    spec.gamma = weight(f"{block}_residual/norm/scale")
    spec.beta = weight(f"{block}_residual/norm/bias")
