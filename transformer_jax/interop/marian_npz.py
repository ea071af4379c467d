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
        config: of the model, with at least one token more than Marian has: the last.

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
        table = reader.permute(marian_positions(config.max_length, config.d_model))
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


def embedding_rows(npz: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Returns the number of source and of target tokens.

    Raises:
        InputError: embeddings are missing.
    """
    found = []
    for name in ("encoder_Wemb", "decoder_Wemb"):
        matrix = npz.get(name, npz.get("Wemb"))
        if matrix is None or matrix.ndim != 2:
            raise InputError(f"Wemb is missing, or {name}.")
        found.append(int(matrix.shape[0]))
    return found[0], found[1]


class _Reader:
    """Arrays of Marian in the shapes and the order of features that we have."""

    def __init__(self, npz: Mapping[str, np.ndarray], config: ModelConfig) -> None:
        self._npz, self._config = npz, config
        # Of our features, which of Marian's it is.
        self._order = np.argsort(interleaved_order(config.d_model))

    def permute(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
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
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{name} has numbers that are not finite floats.")
        return array.reshape(shape)

    def embeddings(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields embeddings with a last row for the first input, and the bias."""
        config, npz = self._config, self._npz
        if config.share_embeddings == "all":
            yield "embedding/matrix", self._pad(self._rows("Wemb"))
        else:
            for ours, theirs in (("source", "encoder"), ("target", "decoder")):
                own = f"{theirs}_Wemb"
                rows = self._rows(own if own in npz else "Wemb")
                yield f"{ours}_embedding/matrix", self._pad(rows)
        if config.share_embeddings == "none":
            yield "output_embedding/matrix", self._pad(self._output_rows())
        number = embedding_rows(npz)[1]
        bias = np.zeros(number, np.float32)
        if "decoder_ff_logit_out_b" in npz:
            bias = self._get("decoder_ff_logit_out_b", number)
        fill = (0, config.output_vocab_size - number)
        yield "output_bias/bias", np.pad(bias, fill, constant_values=PAD_LOGIT)

    def _rows(self, name: str) -> np.ndarray:
        """Returns embeddings in our order of features, one a token of Marian."""
        number = self._npz[name].shape[0] if name in self._npz else 1
        return self.permute(self._get(name, number, self._config.d_model))

    def _output_rows(self) -> np.ndarray:
        if "decoder_ff_logit_out_Wt" in self._npz:
            return self._rows("decoder_ff_logit_out_Wt")
        number, width = embedding_rows(self._npz)[1], self._config.d_model
        return self.permute(self._get("decoder_ff_logit_out_W", width, number).T)

    def _pad(self, rows: np.ndarray) -> np.ndarray:
        """Returns embeddings with zeros for the tokens that Marian has not."""
        return np.pad(rows, [(0, self._config.vocab_size - len(rows)), (0, 0)])

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
        yield "feed_forward/inner/kernel", self.permute(first, axis=0)
        yield "feed_forward/inner/bias", self._get(f"{block}_b1", inner)
        second = self._get(f"{block}_W2", inner, width)
        yield "feed_forward/outer/kernel", self.permute(second)
        yield "feed_forward/outer/bias", self.permute(self._get(f"{block}_b2", width))
        for name, array in self.norm(f"{block}_ffn"):
            yield f"feed_forward_residual/norm/{name}", array

    def _attention(self, ours: str, theirs: str) -> Iterator[tuple[str, np.ndarray]]:
        config = self._config
        width, heads = config.d_model, (config.num_heads, config.key_size)
        for letter, part in (("q", "query"), ("k", "key"), ("v", "value")):
            matrix = self._get(f"{theirs}_W{letter}", width, width)
            kernel = self.permute(matrix, axis=0).reshape(width, *heads)
            yield f"{ours}/{part}/kernel", kernel
            bias = self._get(f"{theirs}_b{letter}", width)
            yield f"{ours}/{part}/bias", bias.reshape(heads)
        matrix = self.permute(self._get(f"{theirs}_Wo", width, width))
        yield f"{ours}/output/kernel", matrix.reshape(*heads, width)
        yield f"{ours}/output/bias", self.permute(self._get(f"{theirs}_bo", width))

    def norm(self, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yields scale and bias of a LayerNorm, after a sub-layer or before it."""
        suffix = "_pre" if f"{prefix}_ln_scale_pre" in self._npz else ""
        for part in ("scale", "bias"):
            vector = self._get(f"{prefix}_ln_{part}{suffix}", self._config.d_model)
            yield part, self.permute(vector)
