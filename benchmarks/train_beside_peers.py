"""Training beside Hugging Face MarianMT and OpenNMT-py: real target tokens a second.

The three models have the same shape and learn from the same token ids. Each toolkit
runs in a process of its own, on two threads, and the rounds alternate. Ours packs
several sentences into a row, and the time to make its batches counts. The others get
batches made beforehand, of sentences of like length, padded to the longest; a batch
has as many real target tokens as ours on average.

    python benchmarks/train_beside_peers.py --source train.en --target train.de

needs this package; for the others torch, transformers and OpenNMT-py. One that is not
installed is left out and named. Without text the token ids are made up.
"""

import argparse
import dataclasses
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import (
    NUM_THREADS,
    Prepare,
    Round,
    at_least_one,
    describe,
    measure_in_turn,
    print_report,
    summarise,
)
from training_peers import prepare_marian, prepare_opennmt

import transformer_jax as tj
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.made_up import made_up_corpus
from transformer_jax.data.packing import fill_of
from transformer_jax.devices.large_pages import restart_with_large_pages

# A batch of ours: 64 rows of 64 positions, of which about 4,050 hold target tokens.
DATA = tj.DataConfig(source_length=64, target_length=64, batch_tokens=4_096)
MODEL = tj.ModelConfig(
    vocab_size=8_000, num_encoder_layers=3, num_decoder_layers=3, d_model=256,
    d_ff=1_024, num_heads=4, dropout_rate=0.1,
)  # fmt: skip
TINY_DATA = dataclasses.replace(DATA, batch_tokens=256)
TINY_MODEL = tj.ModelConfig.tiny()
FIRST_WORD_ID = 4
"""Smaller ids are those of padding, beginning and end of sentence, and unknown."""


def read_corpus(config: tj.ExperimentConfig) -> Corpus:
    """Returns the token ids of the text, or made-up ones."""
    if config.data.train_source_path is not None:
        with tempfile.TemporaryDirectory() as workdir:
            corpus = tj.prepare(config, workdir).train
            sides = corpus.source, corpus.target
            # Read from disk while the directory is there.
            ids = [[list(side[i]) for i in range(corpus.num_pairs)] for side in sides]
            return make_corpus(*ids, bos_id=corpus.bos_id, pad_id=corpus.pad_id)
    made_up = made_up_corpus(config.model, config.data)
    words = config.model.vocab_size - FIRST_WORD_ID
    source, target = (
        dataclasses.replace(side, tokens=FIRST_WORD_ID + side.tokens % words)
        for side in (made_up.source, made_up.target)
    )
    return Corpus(source, target, bos_id=1, pad_id=0)


def prepare_ours(config: tj.ExperimentConfig, corpus: Corpus, num_updates: int) -> Any:
    """Compiles our update; a round is some updates, batches included."""
    import jax

    # As the command line does: a device for each core.
    jax.config.update("jax_num_cpu_devices", NUM_THREADS)
    mesh = tj.make_mesh(config.mesh)
    step = tj.make_train_step(config, mesh)
    packed = tj.pack_corpus(corpus, config.data, seed=0)
    batches = tj.make_batches(corpus, packed, config.data, seed=0)
    state = tj.init_state(config, mesh)

    def run() -> Round:
        nonlocal state
        started = time.perf_counter()
        reports = []
        for _ in range(num_updates):
            state, report = step(state, tj.make_global(next(batches), mesh))
            reports.append(report)
        reports = jax.device_get(reports)
        seconds = time.perf_counter() - started
        tokens = sum(float(report["target_tokens"]) for report in reports)
        return {
            "seconds": seconds,
            "target_tokens": tokens,
            "loss": float(reports[-1]["loss"]),
        }

    return run


def batches_of_like_length(
    corpus: Corpus, target_tokens: float
) -> Iterator[dict[str, np.ndarray]]:
    """Yields padded batches for the other toolkits, in random order, without end.

    Args:
        target_tokens: real target tokens of a batch.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(corpus.num_pairs)
    sources, targets = corpus.source_lengths, corpus.target_lengths
    order = order[np.lexsort((sources[order], targets[order]))]
    before = np.cumsum(targets[order]) - targets[order]
    cuts = np.flatnonzero(np.diff(before // target_tokens)) + 1
    groups = np.split(order, cuts)
    for number in itertools.chain.from_iterable(
        rng.permutation(len(groups)) for _ in itertools.count()
    ):
        pairs = groups[number]
        yield {
            "source": _pad([corpus.source[pair] for pair in pairs], corpus.pad_id),
            "source_lengths": sources[pairs],
            "target": _pad([corpus.target[pair] for pair in pairs], corpus.pad_id),
            "target_lengths": targets[pairs],
        }


def _pad(sentences: list[np.ndarray], pad_id: int) -> np.ndarray:
    padded = np.full((len(sentences), max(map(len, sentences))), pad_id, np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = sentence
    return padded


def measure(config: tj.ExperimentConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Returns rates, rounds, and the fill of both kinds of batches."""
    corpus = read_corpus(config)
    packed = tj.pack_corpus(corpus, config.data, seed=0)
    fits = corpus.target_lengths[packed.pairs]
    per_update = fits.sum() * config.data.rows / packed.num_rows
    updates = options.updates
    toolkits: dict[str, tuple[Prepare, dict[str, Any]]] = {
        "transformer_jax": (
            prepare_ours,
            {"config": config, "corpus": corpus, "num_updates": updates},
        )
    }
    if not options.tiny:
        total = updates * (options.rounds + 1)
        padded = list(
            itertools.islice(batches_of_like_length(corpus, per_update), total)
        )
        places = sum(batch["source"].size + batch["target"].size for batch in padded)
        tokens = sum(
            batch["source_lengths"].sum() + batch["target_lengths"].sum()
            for batch in padded
        )
        shared = {
            "model": config.model,
            "batches": padded,
            "bos_id": corpus.bos_id,
            "pad_id": corpus.pad_id,
            "num_updates": updates,
        }
        toolkits["Hugging Face MarianMT"] = (prepare_marian, shared)
        toolkits["OpenNMT-py"] = (prepare_opennmt, shared)
    measured = measure_in_turn(toolkits, options.rounds)
    fill = fill_of(packed, corpus.source_lengths, corpus.target_lengths)
    return {
        "text": str(options.source or "made-up token ids"),
        "num_pairs": corpus.num_pairs,
        "threads_of_each": NUM_THREADS,
        "updates_of_a_round": updates,
        "target_tokens_of_an_update": round(float(per_update)),
        "fill_of_our_rows": round(fill.both, 4),
        "fill_of_their_rows": None if options.tiny else round(tokens / places, 4),
        "results": summarise(measured["rounds"], "target_tokens"),
        **measured,
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, help="source sentences, one a line")
    parser.add_argument("--target", type=Path, help="their translations")
    parser.add_argument("--rounds", type=at_least_one, default=9, help="of each")
    parser.add_argument("--updates", type=at_least_one, default=5, help="of a round")
    parser.add_argument(
        "--tiny", action="store_true", help="tiny sizes and this package alone: a trial"
    )
    options = parser.parse_args()
    if (options.source is None) != (options.target is None):
        parser.error("--source and --target belong together")
    if options.tiny:
        options.rounds, options.updates = 2, 2
    config = tj.ExperimentConfig(
        model=TINY_MODEL if options.tiny else MODEL,
        data=dataclasses.replace(
            TINY_DATA if options.tiny else DATA,
            train_source_path=options.source and str(options.source),
            train_target_path=options.target and str(options.target),
        ),
    )
    packages = ("jax", "jaxlib", "flax", "torch", "transformers", "OpenNMT-py")
    print_report(describe(*packages) | measure(config, options))


if __name__ == "__main__":
    restart_with_large_pages()  # All toolkits have them, unless GLIBC_TUNABLES is set.
    main()
