"""Parameters as a specification of CTranslate2, through its own classes.

Its matrices are `[out, in]`; the projections of queries, keys and values are one matrix
in self-attention, those of keys and values in cross-attention. It takes a table of
positions, so the paper's interleaved sinusoids go in as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import sinusoidal_encoding
from transformer_jax.tokenizer.tokenizer import Tokenizer

# Rows of the table of sinusoids, which have no limit here. CTranslate2 cuts sources
# at 1,024 tokens and outputs at 256 unless it is told otherwise.
NUM_POSITIONS = 2_048
# `jax.nn.gelu` is the approximation by tanh.
_ACTIVATIONS = {"relu": "RELU", "gelu": "GELUTanh", "swish": "SWISH"}


def check_can_be_ctranslate2(config: ExperimentConfig) -> None:
    """Checks that CTranslate2's format can hold a model.

    Raises:
        InputError: it cannot; the message names the setting.
    """
    if config.treebank.is_used:
        raise InputError(
            "this model parses, and its search needs a grammar, which CTranslate2 does "
            "not have: only a model that translates can be exported."
        )
    window = config.model.attention_window
    if window is not None:
        raise InputError(
            f"model.attention_window={window} cannot be held by CTranslate2's format, "
            "whose attention sees all positions: this model stays here."
        )


def make_specification(
    specs: Any,
    config: ModelConfig,
    params: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
) -> Any:
    """Returns a `TransformerSpec` with parameters, vocabularies and settings.

    Args:
        specs: the module `ctranslate2.specs`.
        config: of a model that the format can hold.
        params: by name, see `load_checkpoint`.
    """
    spec = _empty_specification(specs, config)
    _set_embeddings(spec, config, params)
    for side, number in (
        ("encoder", config.num_encoder_layers),
        ("decoder", config.num_decoder_layers),
    ):
        stack = getattr(spec, side)
        for index in range(number):
            layer = _Layer(params, side, index, config)
            layer.set_attention(stack.layer[index].self_attention, "self_attention")
            if side == "decoder":
                layer.set_attention(stack.layer[index].attention, "cross_attention")
            layer.set_feed_forward(stack.layer[index].ffn)
        if config.norm == "pre":
            stack.layer_norm.gamma = params[f"{side}_norm/scale"]
            stack.layer_norm.beta = params[f"{side}_norm/bias"]
    _set_vocabularies(spec, tokenizer)
    spec.config.layer_norm_epsilon = config.norm_epsilon
    return spec


def pieces_of(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Returns the name of every source and every target token id."""
    return (
        tokenizer.source_pieces(range(tokenizer.source_vocab_size)),
        tokenizer.target_pieces(range(tokenizer.target_vocab_size)),
    )


def _empty_specification(specs: Any, config: ModelConfig) -> Any:
    common, transformer = specs.common_spec, specs.transformer_spec
    shape: dict[str, Any] = {
        "pre_norm": config.norm == "pre",
        "activation": common.Activation[_ACTIVATIONS[config.activation]],
    }
    if _head_width(config) * config.num_heads != config.d_model:
        shape["head_dim"] = _head_width(config)
    return specs.TransformerSpec(
        transformer.TransformerEncoderSpec(
            config.num_encoder_layers, config.num_heads, **shape
        ),
        transformer.TransformerDecoderSpec(
            config.num_decoder_layers, config.num_heads, **shape
        ),
    )


def _head_width(config: ModelConfig) -> int:
    """Returns the one width that heads have there: d_k and d_v, the smaller padded."""
    return max(config.key_size, config.value_size)


def _set_embeddings(
    spec: Any, config: ModelConfig, params: Mapping[str, np.ndarray]
) -> None:
    shared = params.get("embedding/matrix")
    source, target = (
        params[f"{side}_embedding/matrix"] if shared is None else shared
        for side in ("source", "target")
    )
    spec.encoder.embeddings[0].weight = source
    spec.decoder.embeddings.weight = target
    spec.decoder.projection.weight = params.get("output_embedding/matrix", target)
    if config.output_bias:
        spec.decoder.projection.bias = params["output_bias/bias"]
    for side in ("source", "target"):
        if config.positions == "learned":
            table = params[f"{side}_position/table"]
        else:
            rows = jnp.arange(NUM_POSITIONS)
            table = np.asarray(sinusoidal_encoding(rows, config.d_model))
        stack = spec.encoder if side == "source" else spec.decoder
        stack.position_encodings.encodings = table


def _set_vocabularies(spec: Any, tokenizer: Tokenizer) -> None:
    source, target = pieces_of(tokenizer)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    settings = spec.config
    settings.bos_token = settings.decoder_start_token = target[tokenizer.bos_id]
    settings.eos_token = target[tokenizer.eos_id]
    settings.unk_token = target[tokenizer.unk_id]
    settings.add_source_eos = True


@dataclass(frozen=True)
class _Layer:
    """One layer of a stack, to be written into its specification."""

    params: Mapping[str, np.ndarray]
    side: str
    index: int
    config: ModelConfig

    def _array(self, name: str) -> np.ndarray:
        array: np.ndarray = self.params[f"{self.side}/{name}"][self.index]
        return array

    def set_attention(self, spec: Any, block: str) -> None:
        query, key, value = (
            self._heads(f"{block}/{part}") for part in ("query", "key", "value")
        )
        is_self = block == "self_attention"
        fused = [(query, key, value)] if is_self else [(query,), (key, value)]
        for linear, projections in zip(spec.linear[:-1], fused, strict=True):
            _join(linear, projections)
        kernel = self._pad(self._array(f"{block}/output/kernel"), axis=1)
        output = SimpleNamespace(
            weight=kernel.reshape(-1, self.config.d_model).T, bias=None
        )
        if self.config.attention_bias:
            output.bias = self._array(f"{block}/output/bias")
        _join(spec.linear[-1], [output])
        scale = self.config.attention_scale or self.config.key_size**-0.5
        if scale != _head_width(self.config) ** -0.5:
            spec.queries_scale = scale
        self._set_norm(spec.layer_norm, block)

    def set_feed_forward(self, spec: Any) -> None:
        for linear, name in ((spec.linear_0, "inner"), (spec.linear_1, "outer")):
            linear.weight = self._array(f"feed_forward/{name}/kernel").T
            linear.bias = self._array(f"feed_forward/{name}/bias")
        self._set_norm(spec.layer_norm, "feed_forward")

    def _heads(self, name: str) -> Any:
        """Returns W^Q, W^K or W^V as `[heads * width, d_model]`, and its bias."""
        kernel = self._pad(self._array(f"{name}/kernel"), axis=2)
        bias = None
        if self.config.attention_bias:
            bias = self._pad(self._array(f"{name}/bias"), axis=1).reshape(-1)
        return SimpleNamespace(
            weight=kernel.reshape(self.config.d_model, -1).T, bias=bias
        )

    def _pad(self, array: np.ndarray, axis: int) -> np.ndarray:
        """Returns heads that are as wide as the format has them, filled with zeros.

        Zeros in queries and keys add nothing to a score, and those in values meet the
        zeros in W^O.
        """
        pads = [(0, 0)] * array.ndim
        pads[axis] = (0, _head_width(self.config) - array.shape[axis])
        return np.pad(array, pads)

    def _set_norm(self, spec: Any, block: str) -> None:
        spec.gamma = self._array(f"{block}_residual/norm/scale")
        spec.beta = self._array(f"{block}_residual/norm/bias")


def _join(linear: Any, projections: Sequence[Any]) -> None:
    linear.weight = np.concatenate([each.weight for each in projections])
    if projections[0].bias is not None:
        linear.bias = np.concatenate([each.bias for each in projections])
