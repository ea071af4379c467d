"""The built-in corpus: a TFDS data set of phrases generated from Unicode CLDR.

It needs no network, and is prepared and read in the same way as WMT.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from transformer_jax.cldr_corpus.phrases import Phrasebook
from transformer_jax.cldr_corpus.vocabulary import Pair

NUM_PHRASES = 103_000
NUM_HELD_OUT = 1_500
"""Phrases for validation; the same number are for testing."""


def make_splits(
    source: str,
    target: str,
    *,
    num_phrases: int = NUM_PHRASES,
    num_held_out: int = NUM_HELD_OUT,
    seed: int = 0,
) -> dict[str, list[Pair]]:
    """Returns the pairs of train, validation and test.

    Each sentence of either language occurs once in all three together. So no test
    sentence is seen in training, and each sentence has one translation, in both
    directions. The training pairs begin with the lexicon and so contain every word. The
    result depends only on the arguments and on the CLDR data of the installed Babel.
    """
    book = Phrasebook(source, target, seed)
    words = list(_distinct(book.lexicon()))
    pairs = _distinct(chain(words, book.phrases()))
    phrases = list(islice(pairs, len(words), len(words) + num_phrases))
    # At even distances: pairs drawn late are of the kinds that are not exhausted yet.
    stride = num_phrases // num_held_out
    end = num_held_out * stride
    validation, test = phrases[0:end:stride], phrases[1:end:stride]
    unseen = {*validation, *test}
    train = [*words, *(pair for pair in phrases if pair not in unseen)]
    return {"train": train, "validation": validation, "test": test}


class CldrTranslate(tfds.core.GeneratorBasedBuilder):
    """Dates, times, quantities, prices, names and lists in two languages."""

    name = "cldr_translate"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(
            name=f"en_{code}", description=f"English and {language}."
        )
        for code, language in (("de", "German"), ("fr", "French"), ("es", "Spanish"))
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        languages = tuple(self.builder_config.name.split("_"))
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Pairs of phrases that mean the same, generated from the Unicode "
                "Common Locale Data Repository."
            ),
            features=tfds.features.Translation(languages=languages),
            supervised_keys=languages,
            homepage="https://cldr.unicode.org",
            license="Unicode License v3",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        splits = make_splits(*self.builder_config.name.split("_"))
        return {
            split: self._generate_examples(pairs) for split, pairs in splits.items()
        }

    def _generate_examples(
        self, pairs: list[Pair]
    ) -> Iterator[tuple[int, dict[str, str]]]:
        source, target = self.builder_config.name.split("_")
        for index, pair in enumerate(pairs):
            yield index, {source: pair[0], target: pair[1]}


def _distinct(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Yields the pairs whose source and whose target both did not occur before."""
    sources: set[str] = set()
    targets: set[str] = set()
    for source, target in pairs:
        if source not in sources and target not in targets:
            sources.add(source)
            targets.add(target)
            yield source, target
