"""A parser that writes lines, as `translate_file` takes a translator."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Unpack

from jax.sharding import Mesh

from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.model.params import Params
from transformer_jax.parser.parser import Parser
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.results import Translation


class TreeText(Translation):
    """A tree as the translation of a sentence; finished where nothing was mended."""

    def as_record(self) -> dict[str, Any]:
        """Returns what a line of JSON says of it."""
        return {
            "text": self.text, "score": self.score, "was_mended": not self.is_finished
        }  # fmt: skip


class TreeLines:
    """Trees as the translations of sentences: what files need of a translator."""

    def __init__(self, parser: Parser, well_formed: bool | None = None) -> None:
        """Takes a parser.

        Args:
            well_formed: as in `Parser.parse`.
        """
        self._parser = parser
        config = parser.translator.config
        if well_formed is not None:
            treebank = dataclasses.replace(config.treebank, well_formed=well_formed)
            config = config.replace(treebank=treebank)
        self.config: ExperimentConfig = config
        self.models: list[tuple[ModelConfig, Params]] = list(parser.translator.models)
        self.mesh: Mesh = parser.translator.mesh
        self.tokenizer: Tokenizer = parser.translator.tokenizer

    def n_best(
        self,
        sentences: Iterable[str],
        n: int,
        *,
        prefixes: Iterable[str] | None = None,
        on_done: Callable[[int], None] | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[list[Translation]]:
        """Returns up to n trees of each sentence, as text.

        Args:
            prefixes: None; trees have no forced beginning.
        """
        assert prefixes is None
        found = self._parser.n_best(
            sentences,
            n,
            well_formed=self.config.treebank.well_formed,
            on_done=on_done,
            **decoding,
        )
        nothing: list[Translation] = [TreeText("", 0.0, True, [])]
        return [
            [
                TreeText(str(one.tree), one.score, not one.was_mended, [])
                for one in several
            ]
            or nothing
            for several in found
        ]
