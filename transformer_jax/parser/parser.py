"""The parser: a model that was trained on a treebank, ready to parse sentences."""

import os
import re
from collections import Counter
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
from transformer_jax.errors import InputError
from transformer_jax.parser.leaf_tags import tag_punctuation
from transformer_jax.parser.long_sentences import split_sentences
from transformer_jax.parsing.mending import mended_tree
from transformer_jax.parsing.trees import Tree
from transformer_jax.translation.arguments import check_number
from transformer_jax.translation.search_requests import Hypothesis, Request, seed_of
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
        if not isinstance(translator, Translator):
            raise InputError(
                f"translator={translator!r:.40} must be a Translator; "
                "Parser.from_checkpoint makes a parser of a work directory."
            )
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
                words become -LRB- and -RRB-. One of more than 1,024 tokens, or
                `max_source_tokens`, is parsed in parts, whose constituents stand side
                by side under the top; with `too_long="refuse"` it is refused.
            well_formed: search among well-formed trees only; otherwise what comes out
                is mended, see `parsing.mending`. None = `treebank.well_formed`.
            decoding: fields of `DecodingConfig` that replace the configured ones.

        Raises:
            InputError: a sentence is none, a decoding setting is unknown or refused, or
                a sentence or word is too long.
        """
        best = self.n_best(sentences, 1, well_formed=well_formed, **decoding)
        return [found[0].tree if found else None for found in best]

    @refuse_misspelt_keywords
    def n_best(
        self,
        sentences: Iterable[str | Sequence[str]],
        n: int,
        *,
        well_formed: bool | None = None,
        on_done: Callable[[int], None] | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[list[ParsedSentence]]:
        """Returns up to n trees of each sentence, best first; none if it has no words.

        Args:
            n: trees of each sentence, at most `beam_size`. With `sampling=True` this
                many are drawn, whatever the beam is.
            well_formed, decoding: as in `parse`.
            on_done: called with the number of sentences done so far.

        Raises:
            InputError: as `parse`; or n is less than 1 or larger than the beam.

        Example:
            >>> parser = tj.Parser.from_checkpoint(parsing_workdir)
            >>> best, other = parser.n_best(["the cat sleeps"], 2, beam_size=4)[0]
            >>> best.score >= other.score
            True
        """
        translator = self.translator
        settings = translator.config.decoding.replace(**decoding)
        if well_formed is None:
            well_formed = translator.config.treebank.well_formed
        _check_settings(settings, well_formed)
        check_number("n", n, settings)
        if settings.sampling:
            settings = settings.replace(beam_size=n)
        words = [words_of(*each) for each in enumerate(_as_sequence(sentences))]
        parts, owners = split_sentences(
            words, translator.tokenizer, settings, translator.position_limit
        )
        parts_left = Counter(owners)
        num_done = len(words) - len(parts_left)

        def count(part: int) -> None:
            nonlocal num_done
            parts_left[owners[part]] -= 1
            num_done += parts_left[owners[part]] == 0
            if on_done is not None:
                on_done(num_done)

        encoded = translator.tokenizer.encode_source([" ".join(each) for each in parts])
        requests = [
            Request(
                ids,
                len(ids) + settings.max_extra_length,
                seed_of(ids, settings),
                num_leaves=len(part),
            )
            for ids, part in zip(encoded, parts, strict=True)
        ]
        grammar = self.grammar if well_formed else None
        hypotheses = translator.search(requests, n, settings, count, grammar)
        found: list[list[list[ParsedSentence]]] = [[] for _ in words]
        for owner, part, several in zip(owners, parts, hypotheses, strict=True):
            found[owner].append(self._results(part, several))
        return [
            [_join(each) for each in zip(*of_parts, strict=False)] for of_parts in found
        ]

    def _results(
        self, words: Sequence[str], hypotheses: Sequence[Hypothesis]
    ) -> list[ParsedSentence]:
        several = list(hypotheses) or [Hypothesis([], float("-inf"), False)]
        texts = self.translator.tokenizer.decode_target([one.tokens for one in several])
        leaf_symbol = self.translator.config.treebank.leaf_symbol
        results = []
        for text, one in zip(texts, several, strict=True):
            found = mended_tree(text.split(), words)
            tree = tag_punctuation(found.tree, leaf_symbol)
            was_mended = found.was_mended or not one.is_finished
            results.append(ParsedSentence(tree, one.score, was_mended))
        return results


def _join(parts: Sequence[ParsedSentence]) -> ParsedSentence:
    """Returns the parse of a sentence, made from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    children = tuple(child for part in parts for child in part.tree.children)
    return ParsedSentence(
        Tree(parts[0].tree.label, children),
        sum(part.score for part in parts),
        any(part.was_mended for part in parts),
    )


def _check_settings(settings: DecodingConfig, well_formed: bool) -> None:
    """Checks that nothing but the grammar says which tokens may come next.

    Raises:
        InputError: a setting does; no token might be left.
    """
    if not isinstance(well_formed, bool):
        raise InputError(f"well_formed={well_formed!r:.40} must be True or False.")
    if not well_formed:
        return
    for name in ("min_length", "no_repeat_ngram_size", "forbidden_tokens"):
        if value := getattr(settings, name):
            raise InputError(
                f"decoding.{name}={value} forbids tokens that a tree may need: leave "
                "it out, or search among all outputs with well_formed=False."
            )


def _as_sequence(sentences: Iterable[str | Sequence[str]]) -> list[str | Sequence[str]]:
    """Returns the sentences in a list.

    Raises:
        InputError: they are one text or tree, or none.
    """
    if isinstance(sentences, str | bytes | Tree) or not isinstance(sentences, Iterable):
        raise InputError(
            f"sentences={sentences!r:.40} ({type(sentences).__name__}) must be a list "
            "of sentences."
        )
    try:
        return list(sentences)
    except TypeError:  # An array without axes.
        raise InputError(f"sentences={sentences!r:.40} must be a list.") from None


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
