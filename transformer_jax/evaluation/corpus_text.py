"""The text that a translator is scored on: pairs, or a split of one of its corpora."""

from collections.abc import Iterable

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.text_files import Split
from transformer_jax.data.corpora import (
    find_corpus,
    load_corpus,
    settings_of_text,
    tag_pairs,
)
from transformer_jax.data.sentence_pairs import Pair, SentencePairs, from_list
from transformer_jax.data.source import load_pairs, load_split
from transformer_jax.errors import InputError


def choose_text(
    config: ExperimentConfig,
    split: Split,
    pairs: Iterable[Pair] | None,
    corpus: str | None,
) -> tuple[ExperimentConfig, SentencePairs | None]:
    """Returns the pairs to score, and the settings with the languages of their text.

    Args:
        pairs: those in place of a split; given pairs get the tag of a named corpus.
        corpus: the name of one of `data.corpora`. None = there is one text.

    Raises:
        InputError: there is no corpus of that name, or it has no such split; one has to
            be named, or the pairs cannot be read.
    """
    data = config.data
    given = None
    if pairs is not None:
        given = pairs if isinstance(pairs, SentencePairs) else from_list(pairs)
    settings = config.replace(data=settings_of_text(data, corpus))
    if corpus is not None:
        place = find_corpus(data, corpus)
        if given is not None:
            return settings, tag_pairs(given, data.corpora[place])
        found = load_corpus(data, place, split, load_pairs)
        if found is None:
            here = f"data.corpora[{place}]"
            raise InputError(
                f"corpus={corpus!r} has no {split} text: set "
                f"{here}.{split}_source_path and {here}.{split}_target_path, or give "
                "pairs."
            )
        return settings, found
    if given is not None:
        return settings, given
    if len(data.corpora) > 1 and not data.files(split)[0]:
        raise InputError(
            f"the run has several corpora: say which to score, corpus="
            f"{' or corpus='.join(data.corpus_names)}."
        )
    return settings, load_split(config, split)
