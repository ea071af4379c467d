"""How probable a model finds given translations, token by token."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.decoding.penalties import coverage_penalty, make_length_penalty
from transformer_jax.devices import sharding
from transformer_jax.devices.own_rows import on_own_rows
from transformer_jax.loss.position_slices import join_positions, split_positions
from transformer_jax.model.transformer import Transformer
from transformer_jax.scoring.teacher_forcing import (
    forced,
    over_pairs,
    pairs_of_text,
    pairs_of_tokens,
)
from transformer_jax.translation.translator import Translator

# Positions projected to logits at once: 150 MB for 37,000 pieces.
_SLICE_TOKENS = 1_024


@dataclass(frozen=True)
class PairScore:
    """What a model thinks of one translation of one source."""

    log_prob: float
    """Of the whole translation; nats."""
    score: float
    """As beam search ranks it: `log_prob` over the length penalty, plus the coverage
    penalty where there is one."""
    num_tokens: int
    """End-of-sentence included."""
    pieces: list[str]
    """The subwords of the translation, end-of-sentence included."""
    token_log_probs: list[float]
    """Of each piece, given the source and the pieces before it; nats."""


def score(
    translator: Translator,
    sources: Sequence[str],
    targets: Sequence[str],
    **decoding: Any,
) -> list[PairScore]:
    """Returns the log-probabilities of given translations, in the order of the pairs.

    An empty target is the end of the sentence alone. The probability under several
    models (`translator.models`) is the mean of theirs.

    A text may be made of other subwords than those a search found it with: to score
    these, use `score_tokens`.

    Args:
        decoding: fields of `DecodingConfig` in place of the configured ones, as
            `length_penalty="none"`.

    Raises:
        InputError: there is one string in place of several, not a target for each
            source, or a sentence is longer than a learned table of positions.

    Paper: section 6.1, for the length penalty.
    """
    corpus = pairs_of_text(translator, sources, targets)
    return _score(translator, corpus, decoding)


def score_tokens(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    **decoding: Any,
) -> list[PairScore]:
    """Returns the log-probabilities of given tokens, in the order of the pairs.

    Args:
        source_ids: of each sentence, its end included, as the tokenizer encodes it.
        target_ids: likewise; one that does not end in end-of-sentence is scored as a
            hypothesis that never ended.
        decoding: as in `score`.

    Raises:
        InputError: as `score`; or a side has no tokens, or unknown ones.
    """
    corpus = pairs_of_tokens(translator, source_ids, target_ids)
    return _score(translator, corpus, decoding)


def gold_log_probs(
    hidden: Float[Array, "rows length d_model"],
    matrix: Float[Array, "vocab d_model"],
    labels: Int[Array, "rows length"],
    slice_tokens: int,
) -> Float[Array, "rows length"]:
    """Returns `log softmax(hidden @ matrix.T)` at the labels; nats, float32.

    It projects about `slice_tokens` positions at a time: the logits of a batch are
    never held whole.

    Args:
        hidden: decoder outputs, in the dtype the products are computed in.
    """
    matrix = matrix.astype(hidden.dtype)

    def of_slice(inputs: tuple[Array, Array]) -> Array:
        hidden, labels = inputs
        logits = jnp.einsum(
            "rld,vd->rlv", hidden, matrix, preferred_element_type=jnp.float32
        )
        gold = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        return gold - jax.nn.logsumexp(logits, axis=-1)

    slices = (
        split_positions(hidden, slice_tokens),
        split_positions(labels, slice_tokens),
    )
    log_probs = jax.lax.map(of_slice, slices)
    return join_positions(log_probs, labels.shape[1])


def _score(
    translator: Translator, corpus: Corpus, decoding: dict[str, Any]
) -> list[PairScore]:
    settings = dataclasses.replace(translator.config.decoding, **decoding)
    has_coverage = settings.coverage_penalty != 0
    penalty = make_length_penalty(
        settings.length_penalty, settings.length_penalty_alpha
    )

    def program(config: ModelConfig) -> Any:
        return _make_program(config, has_coverage, translator.mesh)

    results: dict[int, PairScore] = {}
    for chosen, batch, found in over_pairs(
        translator, corpus, program, settings, keeps_attention=has_coverage
    ):
        log_probs = _log_mean(np.stack([of_model for of_model, _ in found]))
        is_token = batch.target_segments != 0
        lengths = is_token.sum(axis=1)
        totals = np.where(is_token, log_probs, 0.0).sum(axis=1)
        # A row that only fills up the batch has no length.
        scores = totals / np.asarray(penalty(jnp.asarray(np.maximum(lengths, 1))))
        if has_coverage:
            coverage = jnp.asarray(np.mean([of_model for _, of_model in found], axis=0))
            scores += np.asarray(coverage_penalty(coverage, settings.coverage_penalty))
        for row, index in enumerate(chosen.tolist()):
            length = lengths[row]
            results[index] = PairScore(
                log_prob=float(totals[row]),
                score=float(scores[row]),
                num_tokens=int(length),
                pieces=translator.tokenizer.target_pieces(corpus.target[index]),
                token_log_probs=log_probs[row, :length].tolist(),
            )
    return [results[index] for index in range(corpus.num_pairs)]


def _log_mean(log_probs: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the mean probability over the first axis, float64."""
    log_sum = np.logaddexp.reduce(log_probs.astype(np.float64), axis=0)
    return log_sum - np.log(len(log_probs))


@functools.lru_cache(maxsize=16)
def _make_program(config: ModelConfig, has_coverage: bool, mesh: Mesh) -> Any:
    """Returns `(params, batch) -> log-probabilities, coverage`, compiled by shape.

    Coverage is how much attention each source token got, `[rows, source]`: the mean
    over the heads of the last decoder layer, summed over the target; 1 for padding.
    """

    def program(params: Any, batch: Batch) -> tuple[Array, Array | None]:
        hidden, attention = forced(config, params, batch, -1 if has_coverage else None)
        matrix: Any = Transformer(config).apply(
            {"params": params}, method="output_matrix"
        )
        log_probs = gold_log_probs(hidden, matrix, batch.target_labels, _SLICE_TOKENS)
        if attention is None:
            return log_probs, None
        is_target = (batch.target_segments != 0)[:, :, None]
        coverage = jnp.sum(attention * is_target, axis=1)
        return log_probs, jnp.where(batch.source_segments != 0, coverage, 1.0)

    return jax.jit(on_own_rows(program, mesh), out_shardings=sharding.replicated(mesh))
