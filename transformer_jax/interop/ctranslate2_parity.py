"""Do a model here and its export to CTranslate2 say the same?"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.ctranslate2_program import CTranslate2Program, FoundOutput
from transformer_jax.interop.parity import on_cpu
from transformer_jax.interop.parity_sample import random_pairs
from transformer_jax.scoring.scores import score_tokens
from transformer_jax.translation.search_requests import Hypothesis, Request
from transformer_jax.translation.translator import Translator

# Of log-probabilities in float32, relative where they are larger than 1.
TOLERANCE = 1e-4
BEAM_SIZE = 4

_Ids = list[list[int]]


@dataclass(frozen=True)
class SearchComparison:
    """How many outputs of a search are equal, token for token.

    Example:
        >>> tj.SearchComparison(8, 7, 1, 0, 0, 1e-6).equal
        7
    """

    compared: int
    equal: int
    ties: int
    """Other outputs that both programs give the same score, within the tolerance."""
    cut: int
    """Other outputs, one of which was cut at the greatest length: the programs rank
    those differently."""
    different: int
    score_difference: float
    """The largest between outputs that are equal, relative where they exceed 1."""


@dataclass(frozen=True)
class CTranslate2Parity:
    """What CTranslate2 and this package have done with the same model and text.

    Example:
        >>> same = tj.SearchComparison(8, 8, 0, 0, 0, 1e-6)
        >>> searches = [same, same, same]
        >>> found = tj.CTranslate2Parity("a program", "int8", 8, 1e-6, *searches)
        >>> found.difference is None
        True
    """

    program: str
    quantization: str
    """Type of the weights."""
    sentences: int
    log_prob_difference: float
    """The largest of a token in given pairs, relative where it exceeds 1; nats."""
    greedy: SearchComparison
    beam: SearchComparison
    """Beam 4 with a penalty that both have, `length ** 0.6`."""
    own_settings: SearchComparison
    """The search of the model's settings, and what README says comes near it."""
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> str | None:
        """What is not the same, for people; None where all is.

        Own settings do not count: their search may be one that CTranslate2 has not. Of
        weights of fewer bits other numbers are expected; the outputs count.
        """
        is_exact = self.quantization == "float32"
        if is_exact and not self.log_prob_difference <= TOLERANCE:
            return (
                f"log-probabilities differ by {self.log_prob_difference:.1e}, more "
                f"than {TOLERANCE:g}"
            )
        for name, found in (("greedy search", self.greedy), ("beam 4", self.beam)):
            if found.different:
                return f"{found.different} of {found.compared} outputs of {name} differ"
            if is_exact and not found.score_difference <= TOLERANCE:
                return f"scores of {name} differ by {found.score_difference:.1e}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {**dataclasses.asdict(self), "equal": self.difference is None}


class OurOutputs:
    """What a model says here in float32, on one CPU; computed once for all exports."""

    def __init__(
        self,
        translator: Translator,
        sentences: Sequence[str],
        known_tokens: tuple[int, int] | None = None,
    ) -> None:
        """Translates the sentences that the model takes whole.

        Args:
            known_tokens: source and target token ids below these are known to the other
                program; None = all.
        """
        self._known_tokens = known_tokens
        self.translator = on_cpu(translator)
        own = translator.config.decoding
        limit = translator.pair_limits(own)[0]
        encoded = translator.tokenizer.encode_source(list(sentences))
        self.sources = [ids for ids in encoded if len(ids) <= limit]
        self.notes = _left_out(len(encoded) - len(self.sources), len(encoded), limit)
        """For people."""
        common = DecodingConfig(
            length_penalty="length",
            early_stopping="first",
            compute_dtype="float32",
            forbidden_tokens=own.forbidden_tokens,
            batch_tokens=own.batch_tokens,
            max_extra_length=own.max_extra_length,
        )
        searched = own.replace(compute_dtype="float32")
        if own.sampling:
            searched = common.replace(length_penalty="gnmt", early_stopping="exact")
        self.settings = {
            "greedy": common.replace(beam_size=1),
            "beam": common.replace(beam_size=BEAM_SIZE),
            "own_settings": searched,
        }
        self.outputs = {
            name: self._search(settings) for name, settings in self.settings.items()
        }
        self.pairs = self._pairs()
        self.log_probs = self.score(*self.pairs)

    def score(self, sources: _Ids, targets: _Ids) -> list[np.ndarray]:
        """Returns the log-probability of each token of the targets; nats."""
        scores = score_tokens(
            self.translator, sources, targets, compute_dtype="float32"
        )
        return [np.asarray(score.token_log_probs) for score in scores]

    def _search(self, settings: DecodingConfig) -> list[Hypothesis]:
        extra, limit = settings.max_extra_length, self.translator.position_limit
        requests = [
            Request(source, min(len(source) + extra, limit or len(source) + extra))
            for source in self.sources
        ]
        return [best for best, *_ in self.translator.search(requests, 1, settings)]

    def _pairs(self) -> tuple[_Ids, _Ids]:
        """Returns random pairs, and sources with the outputs of greedy search."""
        sources, targets = random_pairs(self.translator.tokenizer)
        if self._known_tokens is not None:
            sources, targets = (
                [[token for token in ids if token < number] for ids in side]
                for side, number in zip(
                    (sources, targets), self._known_tokens, strict=True
                )
            )
        for source, output in zip(self.sources, self.outputs["greedy"], strict=True):
            if output.is_finished:
                sources.append(source)
                targets.append(output.tokens)
        return sources, targets


def _left_out(number: int, total: int, limit: int) -> tuple[str, ...]:
    if number == total:
        raise InputError(
            f"no sentence of the sample has at most {limit} tokens, which the model "
            "takes: give a sample of shorter ones, or do not compare."
        )
    if not number:
        return ()
    return (
        f"{number} of {total} sentences of the sample have more than {limit} tokens, "
        "which the model does not take whole: they were left out",
    )


def compare_with_ctranslate2(
    ours: OurOutputs, program: CTranslate2Program, quantization: str = "float32"
) -> CTranslate2Parity:
    """Returns in how much the programs differ."""
    theirs = program.token_log_probs(*ours.pairs)
    differences = [
        _difference(a, b) for a, b in zip(ours.log_probs, theirs, strict=True)
    ]
    greedy, beam, own_settings = (
        _compare(
            ours, name, program.search(ours.sources, settings), settings.beam_size == 1
        )
        for name, settings in ours.settings.items()
    )
    return CTranslate2Parity(
        program=program.name,
        quantization=quantization,
        sentences=len(ours.sources),
        log_prob_difference=max(differences),
        greedy=greedy,
        beam=beam,
        own_settings=own_settings,
        notes=ours.notes,
    )


def _compare(
    ours: OurOutputs, name: str, theirs: Sequence[FoundOutput], is_greedy: bool
) -> SearchComparison:
    counts = dict.fromkeys(("equal", "ties", "cut", "different"), 0)
    largest = 0.0
    eos_id = ours.translator.tokenizer.eos_id
    for source, a, b in zip(ours.sources, ours.outputs[name], theirs, strict=True):
        if a.tokens == b.tokens:
            counts["equal"] += 1
            largest = max(largest, _difference(a.score, b.score))
        elif not is_greedy and (not a.is_finished or b.tokens[-1:] != [eos_id]):
            counts["cut"] += 1
        elif (_is_greedy_tie if is_greedy else _is_tie)(ours, source, a, b):
            counts["ties"] += 1
        else:
            counts["different"] += 1
    return SearchComparison(len(theirs), **counts, score_difference=largest)


def _is_tie(ours: OurOutputs, source: list[int], a: Hypothesis, b: FoundOutput) -> bool:
    return _difference(a.score, b.score) <= TOLERANCE


def _is_greedy_tie(
    ours: OurOutputs, source: list[int], a: Hypothesis, b: FoundOutput
) -> bool:
    """Returns whether the first tokens that differ are as probable here."""
    first, second = ours.score([source, source], [a.tokens, b.tokens])
    place = next(
        (i for i, (x, y) in enumerate(zip(a.tokens, b.tokens, strict=False)) if x != y),
        None,
    )
    return place is not None and _difference(first[place], second[place]) <= TOLERANCE


def _difference(a: Any, b: Any) -> float:
    """Returns the largest difference, relative where the first is larger than 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a))))
