"""Packing and the input pipeline, beside Grain's first-fit packing; CPU seconds.

Measures how full the packed rows of a text are, the CPU seconds to pack 4.5 million
made-up pairs, and the real tokens that the pipeline delivers in a CPU second.

    python benchmarks/packing.py --source train.en --target train.de

needs this package alone. Without text the token ids are made up.
"""

import argparse
import dataclasses
import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grain
import numpy as np
from side_by_side import at_least_one, describe, print_report
from train_beside_peers import read_corpus

import transformer_jax as tj
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.packing import balanced_lengths, fill_of, pack_pairs

NUM_MADE_UP = 4_500_000
"""Pairs of the paper's English-German text."""
MADE_UP_LENGTH = 256
NUM_BINS = 256
"""Rows that Grain fills at a time."""


def measure_fill(corpus: Corpus, source_length: int, target_length: int) -> Any:
    """Returns how full the rows are, for these lengths and for better ones."""
    lengths = corpus.source_lengths, corpus.target_lengths
    wanted = source_length, target_length
    found = []
    tokens = corpus.source.num_tokens, corpus.target.num_tokens
    for rooms in dict.fromkeys([wanted, balanced_lengths(*tokens, max(wanted))]):
        packed = pack_pairs(*lengths, *rooms)
        found.append(
            {
                "source_length": rooms[0],
                "target_length": rooms[1],
                "rows": packed.num_rows,
                "pairs_left_out": len(packed.too_long),
                "fill": round(fill_of(packed, *lengths).both, 4),
            }
        )
    return found


def measure_packing(num_pairs: int) -> dict[str, Any]:
    """Packs pairs of made-up lengths: a median of 28 tokens, and a long tail."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(28), 0.6, num_pairs))
    source, target = (
        np.clip(lengths * np.exp(rng.normal(0.0, 0.2, num_pairs)), 2, MADE_UP_LENGTH)
        .astype(np.int64)
        for _ in range(2)
    )  # fmt: skip
    before, started = peak_bytes(), time.process_time()
    packed = pack_pairs(source, target, MADE_UP_LENGTH, MADE_UP_LENGTH)
    seconds = time.process_time() - started
    return {
        "pairs": num_pairs,
        "row_length": MADE_UP_LENGTH,
        "cpu_seconds": round(seconds, 2),
        "gigabytes_more": round((peak_bytes() - before) / 1e9, 2),
        "fill": round(fill_of(packed, source, target).both, 4),
    }


def peak_bytes() -> int:
    """Returns the largest memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1_024 * peak


def tokens_per_cpu_second(
    batches: Callable[[], Iterator[tuple[int, int]]], num_batches: int, num_rounds: int
) -> dict[str, Any]:
    """Returns rates of a pipeline, and the fill of its batches.

    Args:
        batches: returns an iterator of real tokens and places, both sides together.
        num_batches: batches of a round.
        num_rounds: how often it is measured, each time from the beginning.
    """
    rates, fills = [], []
    for _ in range(num_rounds):
        started = time.process_time()
        tokens, places = np.sum(list(itertools.islice(batches(), num_batches)), axis=0)
        rates.append(float(tokens) / (time.process_time() - started))
        fills.append(float(tokens / places))
    return {
        "million_tokens_per_cpu_second": {
            "median": round(float(np.median(rates)) / 1e6, 3),
            "least": round(min(rates) / 1e6, 3),
            "most": round(max(rates) / 1e6, 3),
        },
        "batches": num_batches,
        "fill": round(float(np.mean(fills)), 4),
    }


def our_batches(
    corpus: Corpus, packed: Any, data: tj.DataConfig
) -> Callable[[], Iterator[tuple[int, int]]]:
    """Returns our pipeline, from rows that are packed."""

    def batches() -> Iterator[tuple[int, int]]:
        for batch in tj.make_batches(corpus, packed, data, seed=0):
            sides = batch.source_segments, batch.target_segments
            yield (
                sum(int(np.count_nonzero(side)) for side in sides),
                sum(side.size for side in sides),
            )

    return batches


def grain_batches(
    corpus: Corpus, data: tj.DataConfig
) -> Callable[[], Iterator[tuple[int, int]]]:
    """Returns Grain's pipeline: shuffled pairs, packed as they come, then batched."""
    fits = (corpus.source_lengths <= data.source_length) & (
        corpus.target_lengths <= data.target_length
    )
    pairs = np.flatnonzero(fits)

    def read(index: int) -> dict[str, np.ndarray]:
        pair = pairs[index]
        return {"source": corpus.source[pair], "target": corpus.target[pair]}

    def batches() -> Iterator[tuple[int, int]]:
        shuffled = grain.MapDataset.range(len(pairs)).seed(0).shuffle().repeat()
        # Reading in threads costs it several times the CPU time of packing.
        in_one_thread = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        packed = grain.experimental.FirstFitPackIterDataset(
            shuffled.map(read).to_iter_dataset(in_one_thread),
            length_struct={
                "source": data.source_length,
                "target": data.target_length,
            },
            num_packing_bins=NUM_BINS,
        )
        for batch in packed.batch(data.rows):
            sides = (
                batch["source_segment_ids"],
                batch["target_segment_ids"],
            )
            yield (
                sum(int(np.count_nonzero(side)) for side in sides),
                sum(side.size for side in sides),
            )

    return batches


def measure_pipelines(corpus: Corpus, data: tj.DataConfig, tiny: bool) -> Any:
    """Returns the rates of our pipeline in two sizes of batches, and of Grain's."""
    packed = tj.pack_corpus(corpus, data, seed=0)
    rounds = 2 if tiny else 5
    found = {}
    for batch_tokens in (data.batch_tokens, 6 * data.batch_tokens):
        sized = dataclasses.replace(data, batch_tokens=batch_tokens)
        name = f"transformer_jax, batches of {batch_tokens} target positions"
        ours = our_batches(corpus, packed, sized)
        found[name] = tokens_per_cpu_second(ours, 4 if tiny else 1_000, rounds)
    name = f"Grain, first fit, batches of {data.batch_tokens} target positions"
    theirs = grain_batches(corpus, data)
    found[name] = tokens_per_cpu_second(theirs, 2 if tiny else 100, rounds)
    return found


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, help="source sentences, one a line")
    parser.add_argument("--target", type=Path, help="their translations")
    parser.add_argument(
        "--source-length", type=at_least_one, default=64, help="of a row"
    )
    parser.add_argument(
        "--target-length", type=at_least_one, default=64, help="of a row"
    )
    parser.add_argument(
        "--vocab-size", type=at_least_one, default=8_000, help="of the tokens"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: a trial")
    options = parser.parse_args()
    if (options.source is None) != (options.target is None):
        parser.error("--source and --target belong together")
    rows = 4 if options.tiny else 64
    data = tj.DataConfig(
        source_length=options.source_length,
        target_length=options.target_length,
        batch_tokens=rows * options.target_length,
        train_source_path=options.source and str(options.source),
        train_target_path=options.target and str(options.target),
    )
    model = tj.ModelConfig(vocab_size=options.vocab_size)
    corpus = read_corpus(tj.ExperimentConfig(model=model, data=data))
    print_report(
        describe("numpy", "grain")
        | {
            "text": str(options.source or "made-up token ids"),
            "num_pairs": corpus.num_pairs,
            "fill": measure_fill(corpus, options.source_length, options.target_length),
            "packing": measure_packing(20_000 if options.tiny else NUM_MADE_UP),
            "pipelines": measure_pipelines(corpus, data, options.tiny),
        }
    )


if __name__ == "__main__":
    main()
