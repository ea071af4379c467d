"""What the model does on the GPU: updates, translation, and the losses of a training.

Started as `gpu_rates.py` is.
"""

import dataclasses
import io
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import sentencepiece
from gpu_process import Measurement
from gpu_rates import PAPER_DATA, TINY_DATA, print_measurements

from transformer_jax.config.experiment import (
    DataConfig,
    ExperimentConfig,
    MeshConfig,
    OptimizerConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.cost.benchmark import measure_updates
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.made_up import made_up_corpus
from transformer_jax.data.pipeline import RowOrder, pack_corpus
from transformer_jax.data.sentence_pairs import from_files
from transformer_jax.devices.chips import Dtype
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.sharding import make_global
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.preparation import prepare
from transformer_jax.training.state import init_state
from transformer_jax.training.step import make_train_step
from transformer_jax.translation.translator import Translator

MODELS = {"tiny": ModelConfig.tiny, "base": ModelConfig.base, "big": ModelConfig.big}

# configs/multi30k_en_de.toml, but warmed up sooner: the loss is to fall.
MULTI30K = ExperimentConfig(
    model=ModelConfig(
        vocab_size=10_000, num_encoder_layers=4, num_decoder_layers=4, d_model=128,
        d_ff=256, num_heads=4, dropout_rate=0.3,
    ),
    data=DataConfig(source_length=64, target_length=64, batch_tokens=8_192),
    optimizer=OptimizerConfig(warmup_steps=400, learning_rate_scale=2.53),
)  # fmt: skip
_TINY_RUN = MULTI30K.replace(model=ModelConfig.tiny(dropout_rate=0.3), data=TINY_DATA)


def update(model: str, num_steps: int, **settings: Any) -> Iterator[Measurement]:
    """Updates of base or big at the paper's batch, in bfloat16."""
    config = ExperimentConfig(
        model=MODELS[model](compute_dtype="bfloat16", **settings),
        data=TINY_DATA if model == "tiny" else PAPER_DATA,
    )
    corpus = made_up_corpus(config.model, config.data)
    result = measure_updates(
        config,
        make_mesh(MeshConfig()),
        # Made before, so that the host's part is to hand them over.
        itertools.cycle(_batches(config, corpus, 8)),
        "made up",
        num_steps=num_steps,
    )
    yield {
        "measured": "update",
        "model": model,
        **settings,
        "batch_tokens": config.data.batch_tokens,
        **dataclasses.asdict(result),
    }


def translation(
    tiny: bool, compute_dtype: Dtype, batch_tokens: list[int]
) -> Iterator[Measurement]:
    """Translation of made-up sentences by base with random weights, beam 4.

    Such a model does not end its sentences: each output is as long as its source and
    one token more, which is about what translations are.
    """
    model = ModelConfig.tiny() if tiny else ModelConfig.base()
    config = ExperimentConfig(model=model)
    mesh = make_mesh(config.mesh)
    params = init_state(config, mesh).params
    translator = Translator(config, params, _word_tokenizer(model.vocab_size), mesh)
    sentences = _sentences(model.vocab_size, 40 if tiny else 3_000)
    lengths = [len(ids) for ids in translator.tokenizer.encode_source(sentences)]
    for tokens in batch_tokens:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            results = translator.n_best(
                sentences,
                1,
                beam_size=4,
                max_extra_length=1,
                batch_tokens=tokens,
                compute_dtype=compute_dtype,
            )
            seconds.append(time.perf_counter() - started)
        output = sum(len(best[0].pieces) for best in results)
        yield {
            "measured": "translation",
            "model": "tiny" if tiny else "base",
            "compute_dtype": compute_dtype,
            "beam_size": 4,
            "batch_tokens": tokens,
            "num_sentences": len(sentences),
            "source_tokens": sum(lengths),
            "output_tokens": output,
            "first_seconds": seconds[0],
            "translation_seconds": seconds[1:],
            "sentences_per_second": len(sentences) / min(seconds[1:]),
            "output_tokens_per_second": output / min(seconds[1:]),
        }


def losses(
    tiny: bool, num_steps: int, multi30k: str, precisions: list[str]
) -> Iterator[Measurement]:
    """The loss of each of the first updates in float32, dropout included.

    Args:
        multi30k: folder of the text, if there is any.
        precisions: those of JAX for matrix products.
    """
    config = _TINY_RUN if tiny else MULTI30K
    corpus, data = _training_text(config, Path(multi30k))
    batches = _batches(config, corpus, num_steps)
    mesh = make_mesh(config.mesh)
    for precision in precisions:
        with jax.default_matmul_precision(precision):
            step, state = make_train_step(config, mesh), init_state(config, mesh)
            found = []
            started = time.perf_counter()
            for batch in batches:
                state, report = step(state, make_global(batch, mesh))
                found.append(float(report["loss"]))
        yield {
            "measured": "losses",
            "platform": mesh.devices.flat[0].platform,
            "precision": precision,
            "data": data,
            "training_seconds": time.perf_counter() - started,
            "losses": found,
        }


def _training_text(config: ExperimentConfig, folder: Path) -> tuple[Corpus, str]:
    """Returns Multi30k if the folder has it, else made-up sentences; and which."""
    files = folder / "train.en", folder / "train.de"
    if config is _TINY_RUN or not all(file.exists() for file in files):
        return made_up_corpus(config.model, config.data), "made up"
    with tempfile.TemporaryDirectory() as workdir:
        prepared = prepare(config, workdir, train_pairs=list(from_files(*files)))
        return prepared.train, "Multi30k en-de"


def _batches(config: ExperimentConfig, corpus: Corpus, number: int) -> list[Batch]:
    """Returns the first batches of a run, made here and now, without Grain."""
    packed = pack_corpus(corpus, config.data, seed=config.training.seed)
    order = RowOrder(packed.num_rows, config.data.rows, config.training.seed)
    return [make_batch(corpus, packed, order.rows_of(step)) for step in range(number)]


def _words(vocab_size: int) -> list[str]:
    return [f"w{number}" for number in range(vocab_size - 4)]


def _word_tokenizer(vocab_size: int) -> Tokenizer:
    """Returns a tokenizer for which every made-up word is one token."""
    words, written = _words(vocab_size), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(
            " ".join(words[i : i + 20]) for i in range(0, len(words), 20)
        ),
        model_writer=written,
        model_type="word",
        vocab_size=vocab_size,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    return Tokenizer(written.getvalue(), written.getvalue())


def _sentences(vocab_size: int, number: int) -> list[str]:
    """Returns sentences of 8 to 31 words, so that few array sizes are compiled."""
    rng, words = np.random.default_rng(0), _words(vocab_size)
    return [
        " ".join(rng.choice(words, length)) for length in rng.integers(8, 32, number)
    ]


if __name__ == "__main__":
    print_measurements(update, translation, losses)
