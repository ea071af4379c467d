"""What the log says of a text: its size, and what its user probably did not mean."""

import logging

import numpy as np

from transformer_jax.config.data import DataConfig
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.mixture import make_mixture
from transformer_jax.data.packing import PackedRows
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.tokenizer.tokenizer import Tokenizer

# Shares of the pairs, or of the subwords, above which something is probably wrong.
_MOST_EMPTY = 0.05
_MOST_SAME = 0.5
_MOST_TOO_LONG = 0.05
_MOST_EPOCHS = 2  # In an update.
_MOST_BYTES = 0.2
# So many subwords tell the share of bytes.
_SAMPLED_TOKENS = 1_000_000

logger = logging.getLogger(__name__)


def warn_of_text(pairs: SentencePairs, corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Logs what is strange about a text and its subwords."""
    if len(pairs) == 1:
        logger.warning(
            "%s: 1 pair; a text has one sentence a line, ended by \\n", pairs.name
        )
    _warn(
        corpus.num_empty / max(1, len(pairs)), _MOST_EMPTY,
        f"{pairs.name}: %s of the pairs have an empty side and are left out",
    )  # fmt: skip
    _warn(
        corpus.num_same / max(1, corpus.num_pairs), _MOST_SAME,
        f"{pairs.name}: %s of the pairs have the same text on both sides",
    )  # fmt: skip
    for side, sentences, is_byte in (
        ("source", corpus.source, tokenizer.source_bytes),
        ("target", corpus.target, tokenizer.target_bytes),
    ):
        tokens = np.asarray(sentences.tokens[:_SAMPLED_TOKENS])
        if len(tokens):
            _warn(
                float(is_byte[tokens].mean()), _MOST_BYTES,
                f"{pairs.name}: %s of the {side} subwords are single bytes; the "
                "tokenizer does not know these letters",
            )  # fmt: skip


def log_size(corpus: Corpus, packed: PackedRows, config: DataConfig) -> None:
    """Logs how many pairs and rows there are to train on, and what is left out."""
    logger.info(
        "%d training pairs in %d rows, %.1f updates an epoch; left out: %d too "
        "long for a row, %d with an empty side",
        len(packed.pairs),
        packed.num_rows,
        packed.num_rows / config.rows,
        len(packed.too_long),
        corpus.num_empty,
    )
    if config.rows >= _MOST_EPOCHS * packed.num_rows:
        logger.warning(
            "every update has all pairs %.1f times: data.batch_tokens=%d is %d rows, "
            "and there are %d; make it smaller",
            config.rows / packed.num_rows,
            config.batch_tokens,
            config.rows,
            packed.num_rows,
        )
    mixture = make_mixture(packed, config)
    if mixture is None:
        return
    for name, num_pairs, rows, share in zip(
        config.corpus_names,
        corpus.corpus_sizes,
        mixture.num_rows,
        mixture.shares,
        strict=True,
    ):
        logger.info(
            "corpus %s: %d pairs in %d rows; its share of the training is %.1f%%, %.1f "
            "updates to each of its epochs",
            name,
            num_pairs,
            rows,
            100 * share,
            rows / (share * config.rows),
        )


def warn_of_rows(corpus: Corpus, packed: PackedRows) -> None:
    """Logs the share of the pairs that are too long for a row, if it is large."""
    _warn(
        len(packed.too_long) / max(1, corpus.num_pairs), _MOST_TOO_LONG,
        "%s of the training pairs are too long for a row of data.source_length="
        f"{packed.source_length}, data.target_length={packed.target_length}, and are "
        "left out",
    )  # fmt: skip


def _warn(share: float, most: float, message: str) -> None:
    if share > most:
        logger.warning(message, f"{share:.1%}")
