"""CTranslate2 as a program on token ids, and its search made to rank as ours does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.interop.ctranslate2_parameters import pieces_of
from transformer_jax.tokenizer.tokenizer import Tokenizer

# Beams that have to end before its search of a sentence stops, in beam sizes. Ours goes
# on until no hypothesis can become the best; this is nearly always as long.
PATIENCE = 4


@dataclass(frozen=True)
class FoundOutput:
    """The best output of a search."""

    tokens: list[int]
    """Token ids; the end of sentence is the last one if the output has ended."""
    score: float
    """Log-probability over length penalty; nats."""


class CTranslate2Program:
    """A model in CTranslate2's memory, called with token ids."""

    def __init__(
        self,
        ctranslate2: Any,
        directory: Path,
        tokenizer: Tokenizer,
        forbidden_tokens: Sequence[int] = (),
        position_limit: int | None = None,
    ) -> None:
        """Loads a model, on the CPU.

        Args:
            ctranslate2: the package.
            position_limit: most tokens that the model has positions for; None = any
                number that is met here.
        """
        # The type of the file, or the nearest that this CPU can compute.
        self._model = ctranslate2.Translator(str(directory), device="cpu")
        self._source, self._target = pieces_of(tokenizer)
        self._ids = {piece: i for i, piece in enumerate(self._target)}
        self._eos_id = tokenizer.eos_id
        self._position_limit = position_limit
        self._forbidden = [[self._target[i]] for i in forbidden_tokens] or None

        self.name = (
            f"ctranslate2 {ctranslate2.__version__} in {self._model.compute_type}"
        )
        """With its version, and what it computes in, as `int8_float32`."""

    def token_log_probs(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[np.ndarray]:
        """Returns the log-probability of each token of given outputs; nats.

        Args:
            sources, targets: token ids, end of sentence last.
        """
        results = self._model.score_batch(
            self._source_pieces(sources),
            [[self._target[i] for i in target[:-1]] for target in targets],
            max_input_length=0,
        )
        return [np.asarray(result.log_probs, np.float64) for result in results]

    def search(
        self, sources: Sequence[Sequence[int]], settings: DecodingConfig
    ) -> list[FoundOutput]:
        """Returns the output that a search as ours ranks first, for each source.

        GNMT's penalty is not among those it has: the hypotheses that it has finished
        are ranked anew. So are those of the others, whose search then stops alike.
        """
        outputs: dict[int, FoundOutput] = {}
        # All of a batch have one greatest length there; ours depends on the source.
        for length in sorted({len(source) for source in sources}):
            rows = [i for i, source in enumerate(sources) if len(source) == length]
            longest = length + settings.max_extra_length
            results = self._model.translate_batch(
                self._source_pieces([sources[i] for i in rows]),
                max_input_length=0,
                max_decoding_length=min(longest, self._position_limit or longest),
                min_decoding_length=settings.min_length,
                no_repeat_ngram_size=settings.no_repeat_ngram_size or 0,
                suppress_sequences=self._forbidden,
                return_scores=True,
                return_end_token=True,
                **search_options(settings),
            )
            for row, result in zip(rows, results, strict=True):
                outputs[row] = self._best(result, settings)
        return [outputs[row] for row in range(len(sources))]

    def _source_pieces(self, sources: Sequence[Sequence[int]]) -> list[list[str]]:
        """Returns the pieces without the end of sentence, which it adds itself."""
        return [[self._source[i] for i in source[:-1]] for source in sources]

    def _best(self, result: Any, settings: DecodingConfig) -> FoundOutput:
        """Returns the best hypothesis; one that has ended, if there is one."""
        found = []
        for pieces, score in zip(result.hypotheses, result.scores, strict=True):
            tokens = [self._ids[piece] for piece in pieces]
            has_ended = bool(tokens) and tokens[-1] == self._eos_id
            number = max(1, len(tokens))
            if settings.beam_size == 1:
                score /= penalty_of(settings, number)
            elif settings.length_penalty == "gnmt":
                score *= number / penalty_of(settings, number)
            found.append((has_ended, score, tokens))
        _, score, tokens = max(found, key=lambda each: each[:2])
        return FoundOutput(tokens, score)


def search_options(settings: DecodingConfig) -> dict[str, Any]:
    """Returns arguments of `translate_batch`.

    Scores are sums in greedy search, and where GNMT's penalty is wanted means over the
    tokens, of all hypotheses.
    """
    if settings.beam_size == 1:
        return {"beam_size": 1, "length_penalty": 0}
    patience = 1 if settings.early_stopping == "first" else PATIENCE
    options: dict[str, Any] = {"beam_size": settings.beam_size, "patience": patience}
    if settings.length_penalty == "gnmt":
        number = patience * settings.beam_size
        return {**options, "num_hypotheses": number, "length_penalty": 1}
    is_off = settings.length_penalty == "none"
    return {
        **options,
        "length_penalty": 0 if is_off else settings.length_penalty_alpha,
    }


def penalty_of(settings: DecodingConfig, length: int) -> float:
    """Returns the length penalty of an output, without JAX."""
    alpha = settings.length_penalty_alpha
    if settings.length_penalty == "none":
        return 1.0
    return float(
        ((5 + length) / 6) ** alpha
        if settings.length_penalty == "gnmt"
        else length**alpha
    )
