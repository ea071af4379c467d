"""Log-probabilities of given translations, token by token."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.decoding.penalties import coverage_penalty, make_length_penalty
from transformer_jax.devices.own_rows import on_own_rows, rows_to_read
from transformer_jax.model.params import Params
from transformer_jax.model.transformer import Transformer
from transformer_jax.scoring.gold_log_probs import gold_log_probs
from transformer_jax.scoring.teacher_forcing import (
    BatchFunction,
    corpus_from_parts,
    corpus_from_tokens,
    decode_given_targets,
    parts_from_texts,
    run_on_pairs,
)
from transformer_jax.translation.arguments import as_sentences, decoding_of
from transformer_jax.translation.translator import Translator

# Positions projected to logits at a time: 150 MB for 37,000 pieces.
_SLICE_TOKENS = 1_024

_Outputs = tuple[Array, Array | None]
"""Log-probabilities float32 [rows, target], coverage float32 [rows, source]."""


@dataclass(frozen=True)
class PairScore:
    """Log-probability and score of one translation of one source.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> (found,) = tj.score(translator, ["A house."], ["Ein Haus."])
        >>> abs(sum(found.token_log_probs) - found.log_prob) < 1e-3
        True
    """

    log_prob: float
    """Log-probability of the whole translation; nats."""
    score: float
    """The score by which beam search ranks: `log_prob` over the length penalty, plus
    the coverage penalty if one is set."""
    num_tokens: int
    """Target tokens, end of sentence included; of a pair in parts, that of each."""
    pieces: list[str]
    """Subwords of the translation, ends of sentence included."""
    token_log_probs: list[float]
    """Log-probability of each piece given source and earlier pieces; nats."""


@refuse_misspelt_keywords
def score(
    translator: Translator,
    sources: Iterable[str],
    targets: Iterable[str],
    *,
    on_done: Callable[[int], None] | None = None,
    **decoding: Unpack[DecodingSettings],
) -> list[PairScore]:
    """Returns the log-probabilities of given translations, in the order of the pairs.

    An empty target is the end of sentence alone. The probability under an ensemble is
    the mean of its models' probabilities.

    A pair is too long if its source is longer than search translates whole, or its
    target longer than search writes for such a source. It is scored in parts that end
    each: log-probabilities and scores are sums, pieces follow each other. The source is
    cut as search cuts it, the target into as many parts with lengths in proportion
    (Gale and Church, 1993), at sentence ends; if these are too few, at clauses or
    between words. Where these are the parts that search has written, the score is that
    of the search.

    The text of a search result may encode to other subwords than the search found; to
    score the found subwords, use `score_tokens`.

    Args:
        on_done: called with the number of pairs done so far, after each batch.
        decoding: fields of `DecodingConfig` that replace the configured ones, such as
            `length_penalty="none"`.

    Raises:
        InputError: an argument is one string, there is not one target for each source,
            a pair is too long and `too_long="refuse"`, or a decoding setting is unknown
            or refused.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> (pair,) = tj.score(translator, ["A house."], ["Ein Haus."])
        >>> pair.log_prob < 0 and len(pair.pieces) == pair.num_tokens
        True

    Paper: section 6.1, for the length penalty.
    """
    settings = decoding_of(translator, decoding)
    sources, targets = (
        as_sentences("sources", sources),
        as_sentences("targets", targets),
    )
    parts = parts_from_texts(translator, sources, targets, settings)
    counter = None if on_done is None else _pair_counter(parts.owners, on_done)
    scores = _score(translator, corpus_from_parts(translator, parts), settings, counter)
    of_pairs: list[list[PairScore]] = [[] for _ in sources]
    for owner, found in zip(parts.owners, scores, strict=True):
        of_pairs[owner].append(found)
    return [_join(found) for found in of_pairs]


@refuse_misspelt_keywords
def score_tokens(
    translator: Translator,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    **decoding: Unpack[DecodingSettings],
) -> list[PairScore]:
    """Returns the log-probabilities of given token ids, in the order of the pairs.

    Every pair is scored as it is given, in one piece, however long it is.

    Args:
        source_ids: token ids of each source, end of sentence included, as
            `Tokenizer.encode_source` returns them.
        target_ids: token ids of each target. A target without end of sentence is
            scored as an unfinished hypothesis.
        decoding: as in `score`.

    Raises:
        InputError: as `score`; or a side has no tokens, ids outside the vocabulary, or
            more tokens than a learned table of positions.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> source_ids = translator.tokenizer.encode_source(["A house."])
        >>> target_ids = translator.tokenizer.encode_target(["Ein Haus."])
        >>> by_tokens = tj.score_tokens(translator, source_ids, target_ids)
        >>> by_tokens == tj.score(translator, ["A house."], ["Ein Haus."])
        True
    """
    settings = decoding_of(translator, decoding)
    corpus = corpus_from_tokens(translator, source_ids, target_ids)
    return _score(translator, corpus, settings)


def _pair_counter(
    owners: Sequence[int], on_done: Callable[[int], None]
) -> Callable[[np.ndarray], None]:
    """Returns a function to call with the numbers of parts that are done.

    It calls `on_done` with the number of pairs whose parts are all done.
    """
    left = np.bincount(owners)
    pairs = np.asarray(owners)

    def note(numbers: np.ndarray) -> None:
        np.subtract.at(left, pairs[numbers], 1)
        on_done(int(np.count_nonzero(left == 0)))

    return note


def _join(parts: list[PairScore]) -> PairScore:
    """Returns the score of a pair, the sum over its parts."""
    if len(parts) == 1:
        return parts[0]
    return PairScore(
        log_prob=sum(part.log_prob for part in parts),
        score=sum(part.score for part in parts),
        num_tokens=sum(part.num_tokens for part in parts),
        pieces=[piece for part in parts for piece in part.pieces],
        token_log_probs=[each for part in parts for each in part.token_log_probs],
    )


def _score(
    translator: Translator,
    corpus: Corpus,
    settings: DecodingConfig,
    on_batch: Callable[[np.ndarray], None] | None = None,
) -> list[PairScore]:
    """Returns the scores of a corpus; `on_batch` gets the numbers of each batch."""
    has_coverage = settings.coverage_penalty != 0
    penalty = make_length_penalty(
        settings.length_penalty, settings.length_penalty_alpha
    )

    def make_function(config: ModelConfig) -> BatchFunction[_Outputs]:
        return _make_function(config, has_coverage, translator.mesh)

    results: dict[int, PairScore] = {}
    for numbers, batch, outputs in run_on_pairs(
        translator, corpus, make_function, settings, keeps_attention=has_coverage
    ):
        log_probs = _log_mean(np.stack([log_probs for log_probs, _ in outputs]))
        is_token = batch.target_segments != 0
        lengths = is_token.sum(axis=1)
        totals = np.where(is_token, log_probs, 0.0).sum(axis=1)
        # A padding row has length 0.
        scores = totals / np.asarray(penalty(jnp.asarray(np.maximum(lengths, 1))))
        if has_coverage:
            coverages = [coverage for _, coverage in outputs if coverage is not None]
            coverage = jnp.asarray(np.mean(coverages, axis=0))
            scores += np.asarray(coverage_penalty(coverage, settings.coverage_penalty))
        for row, index in enumerate(numbers.tolist()):
            length = lengths[row]
            results[index] = PairScore(
                log_prob=float(totals[row]),
                score=float(scores[row]),
                num_tokens=int(length),
                pieces=translator.tokenizer.target_pieces(corpus.target[index]),
                token_log_probs=log_probs[row, :length].tolist(),
            )
        if on_batch is not None:
            on_batch(numbers)
    return [results[index] for index in range(corpus.num_pairs)]


def _log_mean(log_probs: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the mean probability over the first axis, float64."""
    log_sum = np.logaddexp.reduce(log_probs.astype(np.float64), axis=0)
    log_mean: np.ndarray = log_sum - np.log(len(log_probs))
    return log_mean


@functools.lru_cache(maxsize=16)
def _make_function(
    config: ModelConfig, has_coverage: bool, mesh: Mesh
) -> BatchFunction[_Outputs]:
    """Returns the compiled function of a batch to log-probabilities and coverage.

    Coverage `[rows, source]` is the attention that each source token gets: the mean
    over the heads of the last decoder layer, summed over the target; 1 for padding.
    """

    def run(params: Params, batch: Batch) -> tuple[Array, Array | None]:
        layer = -1 if has_coverage else None
        hidden, attention = decode_given_targets(config, params, batch, layer)
        model, variables = Transformer(config), {"params": params}
        matrix: Any = model.apply(variables, method="output_matrix")
        bias: Any = model.apply(variables, method="output_bias")
        log_probs = gold_log_probs(
            hidden, matrix, bias, batch.target_labels, _SLICE_TOKENS
        )
        if attention is None:
            return log_probs, None
        is_target = (batch.target_segments != 0)[:, :, None]
        coverage = jnp.sum(attention * is_target, axis=1)
        return log_probs, jnp.where(batch.source_segments != 0, coverage, 1.0)

    return jax.jit(on_own_rows(run, mesh), out_shardings=rows_to_read(mesh))
