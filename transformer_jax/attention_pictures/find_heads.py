"""The search for heads that do a job that can be described.

Paper: the appendix, figures 3 to 5: "many of the attention heads exhibit behaviour that
seems related to the structure of the sentence".
"""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from transformer_jax.attention_pictures.attended_pair import (
    AttendedPair,
    AttentionKind,
    PieceRow,
)
from transformer_jax.attention_pictures.head_findings import (
    AttentionHead,
    HeadFindings,
)
from transformer_jax.attention_pictures.head_jobs import jobs_of
from transformer_jax.attention_pictures.job_counts import JobCounts
from transformer_jax.attention_pictures.own_pairs import own_pairs
from transformer_jax.checkpoints.choosing import Which
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.batch import Batch
from transformer_jax.data.sentence_pairs import SentencePairs, from_list
from transformer_jax.data.source import load_split
from transformer_jax.devices.own_rows import on_own_rows, rows_to_read
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.progress import Progress
from transformer_jax.scoring.teacher_forcing import (
    BatchFunction,
    corpus_from_tokens,
    run_on_pairs,
)
from transformer_jax.translation.arguments import as_sentences
from transformer_jax.translation.attention_maps import batch_attention_weights
from transformer_jax.translation.translator import Translator

Split: TypeAlias = Literal["train", "validation", "test"]
_Weights: TypeAlias = tuple[Array, Array, Array]


def find_heads(
    workdir: str | os.PathLike[str],
    *,
    split: Split = "validation",
    checkpoint: Which = "latest",
    pairs: Iterable[tuple[str, str]] | None = None,
    sentences: Iterable[str] | None = None,
    max_pairs: int = 500,
    progress: bool = True,
) -> HeadFindings:
    """Returns how well each attention head of a model does each describable job.

    A job names places for a query: the piece before it, the same piece elsewhere, the
    bracket that it closes, the source word that is being written. Its rate is the share
    of the queries that have such a place whose largest weight is there, beside the rate
    of heads that know nothing of the sentence. Decoders read the given targets.

    Args:
        workdir: a work directory, or the directory of one checkpoint.
        split: the split of the run's data.
        checkpoint: "latest", "best", "average" or a step.
        pairs: (source, target) sentences in place of a split. A parser's target is the
            tokens of a tree, `(S (NP NNP )NP (VP VBZ )VP )S`.
        sentences: sentences in place of pairs; the model translates or parses them.
        max_pairs: of more, this many are measured, at even distances.
        progress: show progress on standard error.

    Raises:
        InputError: no such checkpoint, no such data, or no pair of it that is as short
            as those of training.

    Example:
        >>> found = tj.find_heads(workdir, pairs=pairs, max_pairs=20, progress=False)
        >>> found.num_pairs, len(found.heads[0].jobs) > 5
        (20, True)

    Paper: figures 3 to 5.
    """
    given = _check_arguments(split, pairs, sentences, max_pairs)
    translator = Translator.from_checkpoint(workdir, checkpoint)
    if given is None:
        given = load_split(translator.config, split)
    if given is None:
        paths = (
            "treebank.{}_paths"
            if translator.config.treebank.is_used
            else ("data.{0}_source_path and data.{0}_target_path")
        )
        raise InputError(
            f"the run in {workdir} has no {split} data: set {paths.format(split)}, or "
            "give sentences."
        )
    step = max(1.0, len(given) / max_pairs)
    chosen = [given[int(i * step)] for i in range(min(len(given), max_pairs))]
    with Progress(len(chosen), "sentences", shown=progress) as shown:
        shown.say("loading or compiling programs")
        if sentences is not None:
            chosen = own_pairs(translator, [sentence for sentence, _ in chosen])
        return measure_heads(translator, chosen, shown.show_done)


def _check_arguments(
    split: Split,
    pairs: Iterable[tuple[str, str]] | None,
    sentences: Iterable[str] | None,
    max_pairs: int,
) -> SentencePairs | None:
    """Returns the given pairs, or sentences with empty targets; None = a split.

    Raises:
        InputError: an argument is refused.
    """
    if split not in get_args(Split):
        raise InputError(f"split={split!r:.40} must be train, validation or test.")
    is_number = isinstance(max_pairs, int | np.integer)
    if not is_number or isinstance(max_pairs, bool) or max_pairs < 1:
        raise InputError(f"max_pairs={max_pairs!r:.40} must be at least 1.")
    if pairs is not None and sentences is not None:
        raise InputError("pairs= and sentences= exclude each other: keep one.")
    if sentences is not None:
        texts = as_sentences("sentences", sentences)
        return from_list([(text, "") for text in texts], "the given sentences")
    if pairs is None or isinstance(pairs, SentencePairs):
        return pairs
    return from_list(pairs)


def measure_heads(
    translator: Translator,
    pairs: Sequence[tuple[str, str]],
    on_done: Callable[[int], None] | None = None,
) -> HeadFindings:
    """Returns what the heads of a model do in these pairs.

    Args:
        on_done: called with the number of pairs done so far.

    Raises:
        InputError: no pair is as short as those of training.
    """
    config, tokenizer = translator.config, translator.tokenizer
    sources = tokenizer.encode_source([source for source, _ in pairs])
    targets = tokenizer.encode_target([target for _, target in pairs])
    kept = [
        (source, target)
        for source, target in zip(sources, targets, strict=True)
        # The end of sentence is there always.
        if 1 < len(source) <= config.data.source_length
        and 1 < len(target) <= config.data.target_length
    ]
    num_left_out = len(pairs) - len(kept)
    if not kept:
        raise InputError(
            f"none of the {len(pairs)} pairs can be measured: each has an empty side, "
            f"or more than data.source_length={config.data.source_length} or "
            f"data.target_length={config.data.target_length} tokens."
        )
    corpus = corpus_from_tokens(translator, *zip(*kept, strict=True))
    parses = config.treebank.is_used
    kinds: tuple[AttentionKind, ...] = get_args(AttentionKind)
    counts = {kind: JobCounts(jobs_of(kind, parses)) for kind in kinds}
    num_done = 0
    make_function = functools.partial(_make_function, mesh=translator.mesh)
    for numbers, _, (outputs, *_) in run_on_pairs(
        translator, corpus, make_function, config.decoding, keeps_attention=True
    ):
        for row, index in enumerate(numbers.tolist()):
            seen = _attended_pairs(translator, *kept[index])
            for (kind, pair), weights in zip(seen.items(), outputs, strict=True):
                num_queries, num_keys = pair.shape
                unpadded = np.asarray(weights)[row, :, :, :num_queries, :num_keys]
                counts[kind].add(pair, unpadded)
        num_done += len(numbers)
        if on_done is not None:
            on_done(num_left_out + num_done)
    return HeadFindings(_heads(counts), len(kept), num_left_out)


def _heads(counts: dict[AttentionKind, JobCounts]) -> tuple[AttentionHead, ...]:
    return tuple(
        AttentionHead(
            kind, layer, head, tuple(sorted(jobs, key=lambda job: -job.margin))
        )
        for kind, of_kind in counts.items()
        for layer, heads in enumerate(of_kind.rates())
        for head, jobs in enumerate(heads)
    )


def _attended_pairs(
    translator: Translator, source_ids: Sequence[int], target_ids: Sequence[int]
) -> dict[AttentionKind, AttendedPair]:
    """Returns a pair as each of the three attentions sees it."""
    tokenizer = translator.tokenizer
    (beginning,) = tokenizer.target_pieces([tokenizer.bos_id])
    source = PieceRow.of_sentence(tokenizer.source_pieces(source_ids))
    written = PieceRow.of_sentence(tokenizer.target_pieces(target_ids))
    read = written.read_after(beginning)
    window = translator.config.model.attention_window
    return {
        "encoder": AttendedPair(source, source, window=window),
        "decoder": AttendedPair(read, read, written, is_causal=True, window=window),
        "cross": AttendedPair(read, source, written),
    }


@functools.lru_cache(maxsize=16)
def _make_function(config: ModelConfig, mesh: Mesh) -> BatchFunction[_Weights]:
    """Returns the compiled function of a batch to all its attention weights."""

    def run(params: Params, batch: Batch) -> _Weights:
        return batch_attention_weights(config, params, batch)

    return jax.jit(on_own_rows(run, mesh), out_shardings=rows_to_read(mesh))
