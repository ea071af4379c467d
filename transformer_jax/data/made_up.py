"""A corpus of random tokens, for measurements without text."""

import numpy as np

from transformer_jax.config.experiment import DataConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.data.corpus import Corpus, Sentences


def made_up_corpus(model: ModelConfig, data: DataConfig) -> Corpus:
    """Returns sentence pairs of random tokens, enough for some batches.

    Lengths have the distribution of sentences: a median of 28 tokens, a third shorter
    than 20, a long tail.
    """
    rng = np.random.default_rng(0)
    num_pairs = max(64, 8 * data.rows * data.target_length // 24)
    lengths = np.exp(rng.normal(np.log(28), 0.6, num_pairs))

    def side(vocab_size: int, row_length: int) -> Sentences:
        spread = lengths * np.exp(rng.normal(0.0, 0.2, num_pairs))
        sizes = np.clip(spread.astype(np.int64), 2, row_length)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        tokens = rng.integers(0, vocab_size, offsets[-1], dtype=np.uint32)
        return Sentences(tokens, offsets)

    return Corpus(
        side(model.vocab_size, data.source_length),
        side(model.output_vocab_size, data.target_length),
        bos_id=0,
        pad_id=0,
    )
