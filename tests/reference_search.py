"""Beam search written plainly, for the package's to be compared with.

A Python list of hypotheses, NumPy in float64, the whole prefix read anew for every
token: no cache, no early stop, no limit on what is proposed. It knows every setting of
the search; it does not draw.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transformer_jax.config.decoding import DecodingConfig

Tokens = tuple[int, ...]
Model = Callable[[Tokens], tuple[np.ndarray, np.ndarray]]
"""Output tokens so far to the log-probabilities of the next one, `[vocab]`, and the
attention with which it is chosen to each source token, `[source]`, none of padding."""


@dataclass(frozen=True)
class Found:
    """One entry of an n-best list."""

    tokens: Tokens
    score: float
    is_finished: bool


@dataclass(frozen=True)
class _Hypothesis:
    tokens: Tokens = ()
    log_probability: float = 0.0
    attention: np.ndarray | float = 0.0  # Sum over the tokens, for each source token.

    def extended(self, model: Model) -> list["_Hypothesis"]:
        """Returns what it becomes by each token of the vocabulary."""
        log_probabilities, attention = model(self.tokens)
        return [
            _Hypothesis(
                tokens=(*self.tokens, token),
                log_probability=self.log_probability + float(log_probability),
                attention=self.attention + attention,
            )
            for token, log_probability in enumerate(log_probabilities)
        ]

    def score(self, settings: DecodingConfig) -> float:
        """Returns what it is compared by."""
        length, alpha = len(self.tokens), settings.length_penalty_alpha
        penalty = {
            "gnmt": ((5 + length) / 6) ** alpha, "length": length**alpha, "none": 1.0
        }[settings.length_penalty]  # fmt: skip
        score = self.log_probability / penalty
        if settings.coverage_penalty:
            covered = np.minimum(self.attention, 1.0)
            score += settings.coverage_penalty * float(np.sum(np.log(covered)))
        return score

    def is_allowed(self, settings: DecodingConfig, prefix: Tokens, eos_id: int) -> bool:
        """Returns whether its last token may stand there."""
        *before, token = self.tokens
        if len(before) < len(prefix):
            return token == prefix[len(before)]
        if token in settings.forbidden_tokens:
            return False
        if token == eos_id and len(before) < settings.min_length:
            return False
        size = settings.no_repeat_ngram_size
        if size is None:
            return True
        ngrams = [self.tokens[i : i + size] for i in range(len(self.tokens) - size + 1)]
        return not ngrams or ngrams[-1] not in ngrams[:-1]


def reference_search(
    model: Model,
    settings: DecodingConfig,
    *,
    limit: int,
    eos_id: int,
    prefix: Tokens = (),
) -> list[Found]:
    """Returns the n-best list of one sentence, of at most beam_size hypotheses.

    Args:
        limit: most tokens of an output, EOS included.
        prefix: what the output begins with.
    """
    beam_size = settings.beam_size
    live, finished = [_Hypothesis()], []
    for _ in range(limit):
        candidates = [
            longer
            for hypothesis in live
            for longer in hypothesis.extended(model)
            if longer.is_allowed(settings, prefix, eos_id)
        ]
        candidates.sort(key=lambda hypothesis: -hypothesis.log_probability)
        finished += [h for h in candidates[:beam_size] if h.tokens[-1] == eos_id]
        live = [h for h in candidates if h.tokens[-1] != eos_id][:beam_size]
        stops_at_first = settings.early_stopping == "first" or beam_size == 1
        if stops_at_first and len(finished) >= beam_size:
            break
    ranked = [
        Found(hypothesis.tokens, hypothesis.score(settings), is_finished)
        for hypotheses, is_finished in ((finished, True), (live, False))
        for hypothesis in hypotheses
        if hypothesis.tokens and hypothesis.log_probability > -math.inf
    ]
    ranked.sort(key=lambda found: (not found.is_finished, -found.score))
    return ranked[:beam_size]


def reference_score(model: Model, tokens: Tokens, settings: DecodingConfig) -> float:
    """Returns the score of one output under teacher forcing."""
    hypothesis = _Hypothesis()
    for token in tokens:
        hypothesis = hypothesis.extended(model)[token]
    return hypothesis.score(settings)
