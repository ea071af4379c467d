"""Sentences in, translations out."""

import bisect
import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax import sharding
from transformer_jax.checkpoint import Which, checkpoint_dir, load_checkpoint
from transformer_jax.config import (
    DecodingConfig,
    ExperimentConfig,
    MeshConfig,
    ModelConfig,
)
from transformer_jax.data.tokenizer import Tokenizer, check_vocabulary
from transformer_jax.decoding.beam_search import BeamResult, beam_search
from transformer_jax.decoding.scores import make_length_penalty
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.model.transformer import Transformer


@dataclass(frozen=True)
class Translation:
    """One hypothesis for one sentence."""

    text: str
    score: float
    """Log-probability over length penalty; nats."""
    is_finished: bool
    """Whether it ended by itself, not at the maximum length."""


@dataclass(frozen=True)
class Attention:
    """Attention weights of one sentence pair, float32 [layers, heads, query, key]."""

    source_pieces: list[str]
    target_pieces: list[str]
    """What the decoder read: the beginning of the sentence, then the target."""
    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray


class Translator:
    """A trained model with its tokenizer, on the devices at hand.

    Sentences are sorted by length and translated in batches of few shapes, each
    compiled once for a process; the output is in the order of the input.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        params: Any,
        tokenizer: Tokenizer,
        mesh: Mesh | None = None,
    ) -> None:
        check_vocabulary(tokenizer, config.model)
        self.config = config
        self.tokenizer = tokenizer
        self.mesh = sharding.make_mesh(config.mesh) if mesh is None else mesh
        self.params = params

    @classmethod
    def from_checkpoint(
        cls, workdir: str | os.PathLike[str], checkpoint: Which = "latest"
    ) -> "Translator":
        """Loads one checkpoint: latest, best, average or a step.

        Args:
            workdir: a work directory; or the directory of one checkpoint, which needs
                nothing beside it.

        Raises:
            InputError: no work directory, or no such checkpoint in it.
        """
        params, config, tokenizer = load_checkpoint(checkpoint_dir(workdir, checkpoint))
        # How the devices were arranged in training says nothing about those here.
        config = config.replace(mesh=MeshConfig())
        mesh = sharding.make_mesh(config.mesh)
        params = jax.device_put(params, sharding.replicated(mesh))
        return cls(config, params, tokenizer, mesh)

    def translate(self, sentences: Sequence[str], **decoding: Any) -> list[str]:
        """Returns the best translation of each sentence; an empty one stays empty.

        Args:
            decoding: fields of `DecodingConfig` in place of the configured ones, as
                `beam_size=1` for greedy search.

        Paper: section 6.1.
        """
        return [best[0].text for best in self.n_best(sentences, 1, **decoding)]

    def n_best(
        self, sentences: Sequence[str], n: int, **decoding: Any
    ) -> list[list[Translation]]:
        """Returns up to n translations of each sentence, best first, at least one.

        Raises:
            InputError: n is larger than the beam, a sentence is longer than a learned
                table of positions, or there is one string in place of several.
        """
        if isinstance(sentences, str):
            raise InputError(
                f"sentences={sentences!r:.40} is one string: give a list of sentences."
            )
        settings = dataclasses.replace(self.config.decoding, **decoding)
        if not 1 <= n <= settings.beam_size:
            raise InputError(
                f"n_best={n} must be between 1 and beam_size={settings.beam_size}: "
                "the beam holds no more hypotheses."
            )
        results: list[list[Translation]] = [
            [Translation("", 0.0, True)] for _ in sentences
        ]
        occupied = [i for i, sentence in enumerate(sentences) if sentence.strip()]
        encoded = self.tokenizer.encode_source([sentences[i] for i in occupied])
        for chosen, source, segments in self._batches(encoded, settings):
            found = self._search(source, segments, settings)
            for row, index in enumerate(chosen):
                results[occupied[index]] = self._hypotheses(found, row, n)
        return results

    def attention(self, source: str, target: str) -> Attention:
        """Returns what every head attends to, given a source and its translation.

        Paper: figures 3 to 5.
        """
        source_ids = self.tokenizer.encode_source([source])[0]
        target_ids = self.tokenizer.encode_target([target])[0]
        inputs = [self.tokenizer.bos_id, *target_ids[:-1]]
        apply = functools.partial(
            Transformer(self.config.model).apply,
            deterministic=True,
            mutable=["intermediates"],
        )
        _, variables = jax.jit(apply)(
            {"params": self.params}, jnp.asarray([source_ids]), jnp.asarray([inputs])
        )
        found = variables["intermediates"]

        def weights(stack: str, attention: str) -> np.ndarray:
            return np.asarray(found[stack][attention]["attention_weights"][0][:, 0])

        return Attention(
            source_pieces=self.tokenizer.source_pieces(source_ids),
            target_pieces=self.tokenizer.target_pieces(inputs),
            encoder=weights("encoder", "self_attention"),
            decoder=weights("decoder", "self_attention"),
            cross=weights("decoder", "cross_attention"),
        )

    def _batches(
        self, encoded: list[list[int]], settings: DecodingConfig
    ) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
        """Yields sentence numbers and their rows of tokens and segments, by length."""
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        lengths = [len(encoded[i]) for i in order]
        limit = max_position(self.config.model)
        if limit is not None and lengths and lengths[-1] > limit:
            raise InputError(
                f"a sentence has {lengths[-1]} tokens, but the model was trained with "
                f"model.max_length={limit} positions: split it."
            )
        devices = self.mesh.size
        first = 0
        while first < len(order):
            width = _bucket(lengths[first])
            most = max(1, settings.batch_tokens // width // devices) * devices
            end = bisect.bisect_right(lengths, width, hi=min(first + most, len(order)))
            chosen, first = order[first:end], end
            rows = devices * min(most // devices, _power(-(-len(chosen) // devices)))
            # A bucket may be wider than a learned position table.
            shape = (rows, width if limit is None else min(width, limit))
            source = np.full(shape, self.tokenizer.pad_id, np.int32)
            segments = np.zeros(shape, np.int32)
            for row, index in enumerate(chosen):
                source[row, : len(encoded[index])] = encoded[index]
                segments[row, : len(encoded[index])] = 1
            yield chosen, source, segments

    def _search(
        self, source: np.ndarray, segments: np.ndarray, settings: DecodingConfig
    ) -> BeamResult:
        rows = sharding.make_own_rows((source, segments), self.mesh)
        search = _make_search(
            self.config.model, settings, *_special(self.tokenizer), self.mesh
        )
        result = search(self.params, *rows)
        return jax.tree.map(np.asarray, result)

    def _hypotheses(self, found: BeamResult, row: int, n: int) -> list[Translation]:
        kept = [k for k in range(n) if found.lengths[row, k] > 0]
        texts = self.tokenizer.decode_target(
            [found.sequences[row, k, : found.lengths[row, k]].tolist() for k in kept]
        )
        return [
            Translation(text, float(found.scores[row, k]), bool(found.finished[row, k]))
            for k, text in zip(kept, texts, strict=True)
        ] or [Translation("", float("-inf"), False)]


@functools.lru_cache(maxsize=16)
def _make_search(
    config: ModelConfig,
    settings: DecodingConfig,
    bos_id: int,
    eos_id: int,
    pad_id: int,
    mesh: Mesh,
) -> Any:
    """Returns `(params, source, segments) -> BeamResult`, compiled once for a shape."""
    model = Transformer(config)
    penalty = make_length_penalty(
        settings.length_penalty, settings.length_penalty_alpha
    )

    def search(params: Any, source: Array, segments: Array) -> BeamResult:
        variables = {"params": params}
        limit = max_position(config)
        max_length = source.shape[1] + settings.max_extra_length
        if limit is not None:
            max_length = min(max_length, limit)
        memory: Any = model.apply(
            variables, source, segments=segments, deterministic=True, method="encode"
        )
        initial: Any = model.apply(
            variables,
            memory,
            segments,
            beam_size=settings.beam_size,
            max_length=max_length,
            method="init_cache",
        )

        def step(tokens: Array, cache: Any, position: Array) -> tuple[Array, Any]:
            whole = dataclasses.replace(initial, self_attention=cache)
            stepped: Any = model.apply(
                variables, tokens, whole, position, method="decode_step"
            )
            logits, whole = stepped
            return jax.nn.log_softmax(logits), whole.self_attention

        lengths = jnp.sum(segments != 0, axis=1)
        return beam_search(
            step,
            initial.self_attention,
            jnp.full((source.shape[0],), bos_id, jnp.int32),
            beam_size=settings.beam_size,
            max_length=max_length,
            eos_id=eos_id,
            pad_id=pad_id,
            length_penalty=penalty,
            # Rows that only fill up the batch have no source and cost no step.
            max_lengths=jnp.where(lengths > 0, lengths + settings.max_extra_length, 0),
        )

    return jax.jit(
        sharding.on_own_rows(search, mesh), out_shardings=sharding.replicated(mesh)
    )


def _special(tokenizer: Tokenizer) -> tuple[int, int, int]:
    return tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id


def _bucket(length: int) -> int:
    """Returns the width of a batch for sentences of this length: 16, 24, 32, 48, ..."""
    power = max(16, _power(length))
    return 3 * power // 4 if power > 16 and length <= 3 * power // 4 else power


def _power(number: int) -> int:
    """Returns the smallest power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()
