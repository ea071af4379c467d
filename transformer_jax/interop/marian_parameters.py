"""Parameters under the names and in the layout of Marian's models, and back.

Matrices are transposed, `[out, in]`, and every layer has its own. Marian puts the sines
of a position first and the cosines after them, the paper puts them in turn. So every
axis of d_model is permuted, in all parameters alike: attention, feed-forward and
LayerNorm then compute the same numbers in another order, and no result changes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import Params
from transformer_jax.model.size import abstract_params


class _Layout(NamedTuple):
    """How one array of a layer changes, there and back."""

    there: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """`(ours, order of d_model) -> Marian's`."""
    back: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """`(Marian's, inverse order) -> ours, of any shape with as many numbers`."""


# A matrix whose input is d_model, one whose output is, a bias of d_model, another bias.
_READS = _Layout(lambda a, o: a.reshape(len(o), -1)[o].T, lambda a, o: a.T[o])
_WRITES = _Layout(lambda a, o: a.reshape(-1, len(o))[:, o].T, lambda a, o: a.T[:, o])
_VECTOR = _Layout(lambda a, o: a[o], lambda a, o: a[o])
_INNER = _Layout(lambda a, o: a.reshape(-1), lambda a, o: a)

_EMBEDDINGS = {
    "all": {"embedding": "model.shared.weight"},
    "target": {
        "source_embedding": "model.encoder.embed_tokens.weight",
        "target_embedding": "model.decoder.embed_tokens.weight",
    },
    "none": {
        "source_embedding": "model.encoder.embed_tokens.weight",
        "target_embedding": "model.decoder.embed_tokens.weight",
        "output_embedding": "lm_head.weight",
    },
}
OUTPUT_BIAS = "final_logits_bias"


def interleaved_order(d_model: int) -> np.ndarray:
    """Returns which of our features is each of Marian's: all sines, then all cosines.

    Example:
        >>> interleaved_order(6).tolist()
        [0, 2, 4, 1, 3, 5]
    """
    return np.concatenate([np.arange(0, d_model, 2), np.arange(1, d_model, 2)])


def to_marian(params: Params, config: ModelConfig) -> dict[str, np.ndarray]:
    """Returns parameters by Marian's names, float32 NumPy arrays.

    Biases that the model does not have are 0: Marian's format has them always.

    Args:
        params: of a model that the format can hold.
    """
    tree: Any = params
    order = interleaved_order(config.d_model)
    arrays = {
        theirs: np.asarray(tree[ours]["matrix"])[:, order]
        for ours, theirs in _EMBEDDINGS[config.share_embeddings].items()
    }
    bias = np.zeros(config.output_vocab_size, np.float32)
    if config.output_bias:
        bias = np.asarray(tree["output_bias"]["bias"])
    arrays[OUTPUT_BIAS] = bias[None]
    for prefix, side, number in _layers(config):
        for theirs, (ours, layout) in layer_names(side).items():
            stacked = _get(tree[side], ours)
            if stacked is None:  # A bias of attention.
                array = np.zeros(config.d_model, np.float32)
            else:
                array = layout.there(np.asarray(stacked[number]), order)
            arrays[f"{prefix}.{theirs}"] = array
    return {
        name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()
    }


def from_marian(arrays: Mapping[str, np.ndarray], config: ModelConfig) -> Params:
    """Returns our parameters from those by Marian's names.

    Args:
        arrays: at least those that the model has; others are not used.
        config: of the model, whose sizes are those of the arrays.
    """
    order = np.argsort(interleaved_order(config.d_model))
    shapes: Any = abstract_params(config)
    params: dict[str, Any] = {
        ours: {"matrix": np.asarray(arrays[theirs], np.float32)[:, order]}
        for ours, theirs in _EMBEDDINGS[config.share_embeddings].items()
    }
    if config.output_bias:
        bias = np.asarray(arrays[OUTPUT_BIAS], np.float32)
        params["output_bias"] = {"bias": bias.reshape(-1)}
    for side in ("encoder", "decoder"):
        prefixes = [prefix for prefix, of, _ in _layers(config) if of == side]
        params[side] = {}
        for theirs, (ours, layout) in layer_names(side).items():
            expected = _get(shapes[side], ours)
            if expected is None:
                continue
            layers = [
                layout.back(np.asarray(arrays[f"{prefix}.{theirs}"], np.float32), order)
                for prefix in prefixes
            ]
            _set(params[side], ours, np.stack(layers).reshape(expected.shape))
    return params


def has_attention_bias(arrays: Mapping[str, np.ndarray]) -> bool:
    """Returns whether any bias of attention is not 0."""
    return any(
        name.endswith("_proj.bias") and bool(np.any(array))
        for name, array in arrays.items()
    )


def layer_prefixes(config: ModelConfig) -> list[tuple[str, str]]:
    """Returns the beginning of the names of every layer, and its side."""
    return [(prefix, side) for prefix, side, _ in _layers(config)]


def _layers(config: ModelConfig) -> list[tuple[str, str, int]]:
    """Returns Marian's prefix, side and number of every layer."""
    numbers = {
        "encoder": config.num_encoder_layers,
        "decoder": config.num_decoder_layers,
    }
    return [
        (f"model.{side}.layers.{number}", side, number)
        for side, count in numbers.items()
        for number in range(count)
    ]


def layer_names(side: str) -> dict[str, tuple[str, _Layout]]:
    """Returns our name and the layout of every array of a layer, by Marian's name."""
    blocks = {"self_attn": "self_attention"}
    if side == "decoder":
        blocks["encoder_attn"] = "cross_attention"
    parts = {"q": "query", "k": "key", "v": "value"}
    names = {}
    for theirs, ours in blocks.items():
        for short, part in parts.items():
            names[f"{theirs}.{short}_proj.weight"] = f"{ours}/{part}/kernel", _READS
            names[f"{theirs}.{short}_proj.bias"] = f"{ours}/{part}/bias", _INNER
        names[f"{theirs}.out_proj.weight"] = f"{ours}/output/kernel", _WRITES
        names[f"{theirs}.out_proj.bias"] = f"{ours}/output/bias", _VECTOR
    names["fc1.weight"] = "feed_forward/inner/kernel", _READS
    names["fc1.bias"] = "feed_forward/inner/bias", _INNER
    names["fc2.weight"] = "feed_forward/outer/kernel", _WRITES
    names["fc2.bias"] = "feed_forward/outer/bias", _VECTOR
    norms = {f"{theirs}_layer_norm": ours for theirs, ours in blocks.items()}
    for theirs, ours in {**norms, "final_layer_norm": "feed_forward"}.items():
        names[f"{theirs}.weight"] = f"{ours}_residual/norm/scale", _VECTOR
        names[f"{theirs}.bias"] = f"{ours}_residual/norm/bias", _VECTOR
    return names


def _get(tree: Any, path: str) -> Any:
    """Returns the leaf at a path, None where there is none."""
    for part in path.split("/"):
        if part not in tree:
            return None
        tree = tree[part]
    return tree


def _set(tree: dict[str, Any], path: str, value: np.ndarray) -> None:
    *parents, name = path.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[name] = value
