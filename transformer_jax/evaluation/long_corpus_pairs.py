"""Pairs of a corpus that are too long, split as search and `tj.score` split them.

A row of the whole pair would take memory by the square of its length.
"""

import dataclasses

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.long_pairs import limits_of_pairs, split_long_pairs
from transformer_jax.translation.position_limit import position_limit


def split_long_corpus_pairs(
    corpus: Corpus, config: ExperimentConfig, tokenizer: Tokenizer
) -> Corpus:
    """Returns the corpus with the parts of long pairs, each as a pair, in their place.

    Args:
        config: settings of the run, which say what is too long.

    Raises:
        TooLongPairError: a part cannot be as short as a learned table of positions. Its
            pair is counted within the corpus.
    """
    limits = limits_of_pairs(
        config.decoding, config.data, position_limit([config.model])
    )
    is_long = (corpus.source_lengths > limits.source) | (
        corpus.target_lengths > limits.target
    )
    if not is_long.any():
        return corpus
    sources, targets = [], []
    for index in range(corpus.num_pairs):
        source, target = corpus.source[index].tolist(), corpus.target[index].tolist()
        if is_long[index]:
            texts = tokenizer.decode_source([source]), tokenizer.decode_target([target])
            parts = split_long_pairs(*texts, tokenizer, limits, first=index)
            sources += parts.source_ids
            targets += parts.target_ids
        else:
            sources.append(source)
            targets.append(target)
    split = make_corpus(sources, targets, bos_id=corpus.bos_id, pad_id=corpus.pad_id)
    return dataclasses.replace(
        corpus, source=split.source, target=split.target, corpus_sizes=()
    )
