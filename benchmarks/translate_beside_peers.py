"""Translation beside CTranslate2 and Hugging Face: output tokens a second.

The paper's base model with random weights, the same in every toolkit: 32 sentences
(`--sentences`) of 24 tokens, beam 4, exactly 32 output tokens. Each toolkit runs in a
process of its own, on two threads, and the rounds alternate. In float32 all must choose
the same tokens; the report says how many sentences are the same.

    python benchmarks/translate_beside_peers.py

needs this package; for the others ctranslate2, torch and transformers. One that is not
installed is left out and named.
"""

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from converted_weights import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    Weights,
    marian_model,
    write_ctranslate2_model,
)
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

from transformer_jax.config.model import ModelConfig

BEAM_SIZE = 4


@dataclasses.dataclass(frozen=True)
class Task:
    """What every toolkit does in a round."""

    model: ModelConfig
    weights: Weights
    sentences: list[list[int]]
    """Token ids, end of sentence included."""
    num_outputs: int
    """Output tokens of a sentence."""


def make_task(tiny: bool, num_sentences: int | None = None) -> Task:
    """Returns random weights and random sentences."""
    import flax.traverse_util
    import jax

    from transformer_jax.config.experiment import ExperimentConfig
    from transformer_jax.devices.mesh import make_mesh
    from transformer_jax.training.state import init_state

    model = ModelConfig.tiny() if tiny else ModelConfig.base()
    config = ExperimentConfig(model=model)
    params = jax.device_get(init_state(config, make_mesh(config.mesh)).params)
    weights = flax.traverse_util.flatten_dict(params, sep="/")
    count, length, num_outputs = (4, 6, 8) if tiny else (32, 24, 32)
    count = num_sentences or count
    rng = np.random.default_rng(0)
    words = rng.integers(4, model.vocab_size, (count, length - 1))
    sentences = [[*row, EOS_ID] for row in words.tolist()]
    return Task(model, weights, sentences, num_outputs)


def timed(task: Task, translate: Callable[[], list[list[int]]]) -> Callable[[], Round]:
    """Returns rounds of a function that returns the output of every sentence."""

    def run() -> Round:
        started = time.perf_counter()
        outputs = translate()
        seconds = time.perf_counter() - started
        assert all(len(output) == task.num_outputs for output in outputs)
        number = sum(map(len, outputs))
        return {"seconds": seconds, "output_tokens": number, "outputs": outputs}

    return run


def prepare_ours(task: Task, compute_dtype: str) -> Callable[[], Round]:
    """Ours, with one CPU device a thread, as `transformer-jax translate` has."""
    os.environ["JAX_NUM_CPU_DEVICES"] = str(NUM_THREADS)
    from transformer_jax.devices.first_use import prepare_process

    prepare_process()  # As the command line does.
    import flax.traverse_util
    import jax

    from transformer_jax.config.decoding import DecodingConfig
    from transformer_jax.config.experiment import MeshConfig
    from transformer_jax.decoding.search_state import Search
    from transformer_jax.devices.mesh import make_mesh
    from transformer_jax.devices.sharding import replicated_sharding
    from transformer_jax.translation.continuous_batching import search_all
    from transformer_jax.translation.search_programs import make_search_programs
    from transformer_jax.translation.search_requests import Request

    mesh = make_mesh(MeshConfig())
    params = flax.traverse_util.unflatten_dict(task.weights, sep="/")
    params = jax.device_put(params, replicated_sharding(mesh))
    settings = DecodingConfig(
        beam_size=BEAM_SIZE, min_length=task.num_outputs, max_extra_length=1
    )
    search = Search(settings=settings, eos_id=EOS_ID, pad_id=PAD_ID, num_results=1)
    programs = make_search_programs(
        (task.model,), (compute_dtype,), search, BOS_ID, mesh
    )
    weights = programs.weights((params,))
    requests = [Request(sentence, task.num_outputs) for sentence in task.sentences]

    def translate() -> list[list[int]]:
        results = search_all(
            programs, weights, requests, mesh, batch_tokens=2_048,
            extra_length=task.num_outputs, position_limit=None, pad_id=PAD_ID,
        )  # fmt: skip
        return [best[0].tokens for best in results]

    return timed(task, translate)


def prepare_ctranslate2(task: Task, batch_size: int) -> Callable[[], Round]:
    """CTranslate2: all sentences in one batch, or batches side by side."""
    import ctranslate2

    # As many batches at a time as there are threads, or all threads on one batch.
    side_by_side = NUM_THREADS if batch_size < len(task.sentences) else 1
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model"
        write_ctranslate2_model(task.model, task.weights, path)
        translator = ctranslate2.Translator(
            str(path), compute_type="float32", inter_threads=side_by_side,
            intra_threads=NUM_THREADS // side_by_side,
        )  # fmt: skip
    sources = [list(map(str, sentence)) for sentence in task.sentences]

    def translate() -> list[list[int]]:
        results = translator.translate_batch(
            sources, beam_size=BEAM_SIZE, max_batch_size=batch_size,
            min_decoding_length=task.num_outputs, max_decoding_length=task.num_outputs,
        )  # fmt: skip
        return [list(map(int, result.hypotheses[0])) for result in results]

    return timed(task, translate)


def prepare_hugging_face(task: Task) -> Callable[[], Round]:
    """Hugging Face's `generate`."""
    import torch

    torch.set_num_threads(NUM_THREADS)
    network = marian_model(task.model, task.weights)
    sources = torch.tensor(task.sentences)

    def translate() -> list[list[int]]:
        with torch.inference_mode():
            results = network.generate(
                input_ids=sources, attention_mask=torch.ones_like(sources),
                num_beams=BEAM_SIZE, do_sample=False,
                min_new_tokens=task.num_outputs, max_new_tokens=task.num_outputs,
            )  # fmt: skip
        return [result[1:] for result in results.tolist()]  # Without the first BOS.

    return timed(task, translate)


def agreement(rounds: dict[str, list[Round]]) -> dict[str, int]:
    """Returns how many sentences each toolkit translated as the first one did."""
    first = next(iter(rounds.values()))[0]["outputs"]
    return {
        name: sum(x == y for x, y in zip(first, those[0]["outputs"], strict=True))
        for name, those in rounds.items()
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rounds", type=at_least_one, default=9, help="of each toolkit"
    )
    parser.add_argument(
        "--sentences", type=at_least_one, help="of a round; 1 = how long one takes"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="tiny sizes and this package alone: a trial"
    )
    parser.add_argument(
        "--peers", action="store_true", help="the other toolkits too, with --tiny"
    )
    options = parser.parse_args()
    task = make_task(options.tiny, options.sentences)
    shared: dict[str, Any] = {"task": task}
    toolkits: dict[str, tuple[Prepare, dict[str, Any]]] = {
        f"transformer_jax, {dtype}": (prepare_ours, shared | {"compute_dtype": dtype})
        for dtype in ("float32", "bfloat16")
    }
    if options.peers or not options.tiny:
        count = len(task.sentences)
        toolkits |= {
            "CTranslate2, one batch": (
                prepare_ctranslate2,
                shared | {"batch_size": count},
            ),
            "Hugging Face": (prepare_hugging_face, shared),
        }
        if count > 1:
            toolkits["CTranslate2, two batches side by side"] = (
                prepare_ctranslate2,
                shared | {"batch_size": count // 2},
            )
    measured = measure_in_turn(toolkits, 2 if options.tiny else options.rounds)
    rounds = measured["rounds"]
    report = describe(
        "jax", "jaxlib", "flax", "ctranslate2", "torch", "transformers"
    ) | {
        "num_sentences": len(task.sentences),
        "source_tokens_of_each": len(task.sentences[0]),
        "output_tokens_of_each": task.num_outputs,
        "beam_size": BEAM_SIZE,
        "threads_of_each": NUM_THREADS,
        "results": summarise(rounds, "output_tokens"),
        "sentences_as_the_first": agreement(rounds),
        "left_out": measured["left_out"],
    }
    for those in rounds.values():
        for each in those:
            del each["outputs"]
    print_report(report | {"rounds": rounds})


if __name__ == "__main__":
    main()
