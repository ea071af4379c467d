"""The parser: a model that was trained on a treebank, ready to parse sentences."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Unpack

from jax.sharding import Mesh

from transformer_jax.checkpoints.choosing import Which
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.decoding.bracket_grammar import BracketGrammar
from transformer_jax.errors import InputError, SentenceError
from transformer_jax.parser.leaf_tags import tag_punctuation
from transformer_jax.parsing.mending import mended_tree
from transformer_jax.parsing.trees import Tree
from transformer_jax.translation.search_requests import Hypothesis, Request
from transformer_jax.translation.translator import Translator

_SEPARATORS = re.compile(r"[ \t\n\r\f\v]+")
_ESCAPES = str.maketrans({"(": "-LRB-", ")": "-RRB-"})


@dataclass(frozen=True)
class ParsedSentence:
    """The tree that a model found for a sentence.

    Example:
        >>> tree = tj.Tree.from_text("(TOP (S (NP (PRP I)) (VP (VBP sleep))))")
        >>> tj.ParsedSentence(tree, score=-0.5, was_mended=False).tree.words
        ('I', 'sleep')
    """

    tree: Tree
    score: float
    """Log-probability over length penalty; nats."""
    was_mended: bool
    """Whether what the model wrote was no tree over the words: never in a search among
    well-formed trees."""


class Parser:
    """A model that writes the constituency tree of a sentence.

    Example:
        >>> parser = tj.Parser.from_checkpoint(parsing_workdir)
        >>> (tree,) = parser.parse(["the cat sleeps"])
        >>> tree.words
        ('the', 'cat', 'sleeps')

    Paper: section 6.3.
    """

    def __init__(self, translator: Translator) -> None:
        """Takes a model that was trained on trees.

        Raises:
            InputError: its vocabulary has no brackets.
        """
        self.translator = translator
        symbols = translator.tokenizer.target_symbols
        labels = [
            symbol[1:]
            for symbol in symbols
            if symbol.startswith("(") and f"){symbol[1:]}" in symbols
        ]
        if not labels:
            raise InputError(
                "the model knows no brackets: it was not trained on trees; name those "
                "in treebank.train_paths."
            )
        self.grammar = BracketGrammar(
            opening=tuple(symbols[f"({label}"] for label in labels),
            closing=tuple(symbols[f"){label}"] for label in labels),
            leaves=tuple(
                token
                for symbol, token in symbols.items()
                if not symbol.startswith(("(", ")"))
            ),
        )
        """What trees are written with."""

    @classmethod
    def from_checkpoint(
        cls,
        workdir: str | os.PathLike[str],
        checkpoint: Which = "latest",
        *,
        ensemble: Iterable[tuple[str | os.PathLike[str], Which]] = (),
        mesh: Mesh | None = None,
    ) -> "Parser":
        """Loads a checkpoint, as `Translator.from_checkpoint` does.

        Raises:
            InputError: there is no such checkpoint, or its model knows no brackets.
        """
        return cls(
            Translator.from_checkpoint(
                workdir, checkpoint, ensemble=ensemble, mesh=mesh
            )
        )

    @refuse_misspelt_keywords
    def parse(
        self,
        sentences: Iterable[str | Sequence[str]],
        *,
        well_formed: bool | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[Tree | None]:
        """Returns the tree of each sentence; None where it has no words.

        Args:
            sentences: words separated by white space, or lists of words. Brackets in
                words become -LRB- and -RRB-.
            well_formed: search among well-formed trees only; otherwise what comes out
                is mended, see `parsing.mending`. None = `treebank.well_formed`.
            decoding: fields of `DecodingConfig` that replace the configured ones.

        Raises:
            InputError: a sentence is none, a decoding setting is unknown or refused, or
                a sentence has more tokens than the model has positions.
        """
        found = self.parse_with_scores(sentences, well_formed=well_formed, **decoding)
        return [None if one is None else one.tree for one in found]

    @refuse_misspelt_keywords
    def parse_with_scores(
        self,
        sentences: Iterable[str | Sequence[str]],
        *,
        well_formed: bool | None = None,
        on_done: Callable[[int], None] | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[ParsedSentence | None]:
        """Returns tree and score of each sentence, as `parse`.

        Args:
            on_done: called with the number of sentences done so far.
        """
        translator = self.translator
        settings = translator.config.decoding.replace(**decoding)
        if well_formed is None:
            well_formed = translator.config.treebank.well_formed
        words = [words_of(index, each) for index, each in enumerate(sentences)]
        numbers = [index for index, each in enumerate(words) if each]
        num_done = len(words) - len(numbers)

        def count(_: int) -> None:
            nonlocal num_done
            num_done += 1
            if on_done is not None:
                on_done(num_done)

        n_best = translator.search(
            self._requests([words[index] for index in numbers], numbers, settings),
            1,
            settings,
            count,
            self.grammar if well_formed else None,
        )
        results: list[ParsedSentence | None] = [None] * len(words)
        for index, hypotheses in zip(numbers, n_best, strict=True):
            results[index] = self._result(words[index], hypotheses)
        return results

    def _requests(
        self,
        sentences: Sequence[Sequence[str]],
        numbers: Sequence[int],
        settings: DecodingConfig,
    ) -> list[Request]:
        texts = [" ".join(words) for words in sentences]
        encoded = self.translator.tokenizer.encode_source(texts)
        most = self.translator.position_limit
        too_long = {
            number: f"has {len(ids)} tokens, and the model has {most} positions."
            for number, ids in zip(numbers, encoded, strict=True)
            if most is not None and len(ids) > most
        }
        if too_long:
            raise SentenceError(too_long)
        return [
            Request(ids, len(ids) + settings.max_extra_length, num_leaves=len(sentence))
            for ids, sentence in zip(encoded, sentences, strict=True)
        ]

    def _result(
        self, words: Sequence[str], hypotheses: Sequence[Hypothesis]
    ) -> ParsedSentence:
        tokenizer = self.translator.tokenizer
        best = hypotheses[0] if hypotheses else Hypothesis([], float("-inf"), False)
        text = tokenizer.decode_target([best.tokens])[0]
        found = mended_tree(text.split(), words)
        was_mended = found.was_mended or not best.is_finished
        return ParsedSentence(tag_punctuation(found.tree), best.score, was_mended)


def words_of(index: int, sentence: str | Sequence[str]) -> list[str]:
    """Returns the words of a sentence, with the escapes of the Penn Treebank.

    Raises:
        InputError: it is neither a text nor a list of words.
    """
    if isinstance(sentence, str):
        words = [word for word in _SEPARATORS.split(sentence) if word]
    else:
        is_list = isinstance(sentence, Iterable) and not isinstance(sentence, bytes)
        words = list(sentence) if is_list else [None]
        if not all(
            isinstance(w, str) and w and not _SEPARATORS.search(w) for w in words
        ):
            raise InputError(
                f"sentence {index} is {sentence!r:.60}: expected a text, or a list of "
                "words without white space."
            )
    return [word.translate(_ESCAPES) for word in words]
