"""Parameters of Marian's own files, `model.npz`.

Names and layouts are those of Marian's source (`src/models/transformer.h`), and those
that CTranslate2's converter reads. Its matrices are `[in, out]`, as here; biases and
LayerNorm's vectors are `[1, n]`; of the positions it has the sines first and the
cosines after them, so every axis of d_model is permuted, see `marian_parameters`.

Differs from Marian: its sinusoids have the wavelengths `10000 ** (i / (d / 2 - 1))`,
the paper's, and those of transformers and CTranslate2, `10000 ** (2 i / d)`. Marian's
own come as a learned table, where they are asked for.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.marian_parameters import interleaved_order

# A token that Marian has not: its zero embedding is the first input of the decoder.
# Its logit is so low that it takes nothing from the others' probabilities.
PAD_LOGIT = -30.0

_BLOCKS = {"self_attention": "self", "cross_attention": "context"}


def npz_parameters(
    npz: Mapping[str, np.ndarray], config: ModelConfig
) -> dict[str, np.ndarray]:
    """Returns our parameters by name, float32.

    Args:
        npz: arrays by Marian's names.
        config: of the model, with one token more than Marian has: the last one.

    Raises:
        InputError: an array is missing or has another shape than the settings say.
    """
    reader = _Reader(npz, config)
    params = dict(reader.embeddings())
    for side, number in (
        ("encoder", config.num_encoder_layers),
        ("decoder", config.num_decoder_layers),
    ):
        layers = [dict(reader.layer(side, index + 1)) for index in range(number)]
        for name in layers[0]:
            stacked = np.stack([layer[name] for layer in layers])
            params[f"{side}/{name}"] = stacked
        if config.norm == "pre":
            for name, array in reader.norm(f"{side}_top"):
                params[f"{side}_norm/{name}"] = array
    if config.positions == "learned":
        table = reader.permuted(marian_positions(config.max_length, config.d_model))
        params |= {f"{side}_position/table": table for side in ("source", "target")}
    return {
        name: np.ascontiguousarray(array, np.float32) for name, array in params.items()
    }


def marian_positions(length: int, d_model: int) -> np.ndarray:
    """Returns Marian's own sinusoids, sines first, float32 `[length, d_model]`."""
    half = d_model // 2
    frequencies = np.exp(-np.log(10_000) / (half - 1) * np.arange(half))
    angles = np.arange(length)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


class _Reader:
    """Arrays of Marian in the shapes and the order of features that we have."""

    def __init__(self, npz: Mapping[str, np.ndarray], config: ModelConfig) -> None:
        self._npz, self._config = npz, config
        # Of our features, which of Marian's it is.
        self._order = np.argsort(interleaved_order(config.d_model))

    def permuted(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
        """Returns an array with an axis of d_model in our order."""
        return np.take(array, self._order, axis=axis)

    def _get(self, name: str, *shape: int) -> np.ndarray:
        if name not in self._npz:
            raise InputError(f"{name} is missing.")
        array = self._npz[name]
        if array.size != int(np.prod(shape)) or array.shape[-1] != shape[-1]:
            raise InputError(
                f"{name} has the shape {array.shape}, its settings say {shape}."
            )
        return array.reshape(shape)

    def embeddings(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields embeddings with a last row for the first input, and the bias."""
        config, npz = self._config, self._npz
        sides = {"source": config.vocab_size, "target": config.output_vocab_size}
        if config.share_embeddings == "all":
            yield "embedding/matrix", self._matrix("Wemb", config.vocab_size)
        else:
            for side, size in sides.items():
                own = {"source": "encoder_Wemb", "target": "decoder_Wemb"}[side]
                name = own if own in npz else "Wemb"
                yield f"{side}_embedding/matrix", self._matrix(name, size)
        if config.share_embeddings == "none":
            yield "output_embedding/matrix", self._output_matrix(sides["target"])
        bias = np.zeros(sides["target"] - 1, np.float32)
        name = "decoder_ff_logit_out_b"
        if name in npz:
            bias = self._get(name, sides["target"] - 1)
        yield "output_bias/bias", np.append(bias, np.float32(PAD_LOGIT))

    def _matrix(self, name: str, size: int) -> np.ndarray:
        rows = self._get(name, size - 1, self._config.d_model)
        return np.pad(self.permuted(rows), [(0, 1), (0, 0)])

    def _output_matrix(self, size: int) -> np.ndarray:
        if "decoder_ff_logit_out_Wt" in self._npz:
            return self._matrix("decoder_ff_logit_out_Wt", size)
        name, width = "decoder_ff_logit_out_W", self._config.d_model
        rows = self._get(name, width, size - 1).T
        return np.pad(self.permuted(rows), [(0, 1), (0, 0)])

    def layer(self, side: str, number: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the arrays of one layer, which Marian counts from 1."""
        prefix, width = f"{side}_l{number}", self._config.d_model
        blocks = list(_BLOCKS)[: 1 if side == "encoder" else 2]
        for ours in blocks:
            theirs = f"{prefix}_{_BLOCKS[ours]}"
            yield from self._attention(ours, theirs)
            for name, array in self.norm(f"{theirs}_Wo"):
                yield f"{ours}_residual/norm/{name}", array
        inner, block = self._config.d_ff, f"{prefix}_ffn"
        first = self._get(f"{block}_W1", width, inner)
        yield "feed_forward/inner/kernel", self.permuted(first, axis=0)
        yield "feed_forward/inner/bias", self._get(f"{block}_b1", inner)
        second = self._get(f"{block}_W2", inner, width)
        yield "feed_forward/outer/kernel", self.permuted(second)
        yield "feed_forward/outer/bias", self.permuted(self._get(f"{block}_b2", width))
        for name, array in self.norm(f"{block}_ffn"):
            yield f"feed_forward_residual/norm/{name}", array

    def _attention(self, ours: str, theirs: str) -> Iterator[tuple[str, np.ndarray]]:
        config = self._config
        width, heads = config.d_model, (config.num_heads, config.key_size)
        for letter, part in (("q", "query"), ("k", "key"), ("v", "value")):
            matrix = self._get(f"{theirs}_W{letter}", width, width)
            kernel = self.permuted(matrix, axis=0).reshape(width, *heads)
            yield f"{ours}/{part}/kernel", kernel
            bias = self._get(f"{theirs}_b{letter}", width)
            yield f"{ours}/{part}/bias", bias.reshape(heads)
        matrix = self.permuted(self._get(f"{theirs}_Wo", width, width))
        yield f"{ours}/output/kernel", matrix.reshape(*heads, width)
        yield f"{ours}/output/bias", self.permuted(self._get(f"{theirs}_bo", width))

    def norm(self, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yields scale and bias of a LayerNorm, after a sub-layer or before it."""
        suffix = "_pre" if f"{prefix}_ln_scale_pre" in self._npz else ""
        for part in ("scale", "bias"):
            vector = self._get(f"{prefix}_ln_{part}{suffix}", self._config.d_model)
            yield part, self.permuted(vector)
