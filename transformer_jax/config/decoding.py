"""Settings of decoding: beam search as in the paper, sampling, constraints, limits."""

import dataclasses
from dataclasses import dataclass
from typing import Literal, Unpack

from transformer_jax.config.checks import (
    MOST_SEED,
    MOST_SIZE,
    require_at_least,
    require_at_most,
    require_float32,
    require_positive,
    require_sizes,
    require_types,
)
from transformer_jax.config.decoding_keywords import DecodingSettings, check_keywords
from transformer_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How sentences are translated: search, sampling, constraints and limits.

    Lengths are in tokens (subwords), end of sentence included.

    Raises:
        InputError: a value of the wrong type or range, or sampling's settings without
            `sampling=True`. The message names the setting, as `decoding.beam_size`.

    Example:
        >>> tj.DecodingConfig(beam_size=1).length_penalty_alpha
        0.6
        >>> tj.DecodingConfig(beam_size=0)
        Traceback (most recent call last):
        ...
        transformer_jax.errors.InputError: decoding.beam_size=0 must be at least 1.

    Paper: section 6.1.
    """

    beam_size: int = 4
    """Hypotheses kept for a sentence; 1 is greedy search."""
    length_penalty: Literal["gnmt", "length", "none"] = "gnmt"
    """What log-probabilities are divided by: GNMT's ((5 + length) / 6) ** alpha,
    length ** alpha, or 1."""
    length_penalty_alpha: float = 0.6
    """Exponent alpha of the length penalty."""
    coverage_penalty: float = 0.0
    """Beta of GNMT's penalty for source tokens that got little attention."""
    early_stopping: Literal["exact", "first"] = "exact"
    """When the search of a sentence stops. "exact": no live hypothesis can still
    improve the result. "first": beam_size hypotheses have ended, which is sooner."""
    min_length: int = 0
    """Output tokens before the end of sentence is allowed."""
    max_extra_length: int = 50
    """An output has at most this many tokens more than its source."""
    forbidden_tokens: tuple[int, ...] = ()
    """Token ids that are never an output, except where a prefix has them; such as the
    padding that a model of Marian begins with."""
    no_repeat_ngram_size: int | None = None
    """No n-gram of this many tokens appears twice in an output."""
    sampling: bool = False
    """Draw outputs from the model's probabilities instead of searching for the best."""
    temperature: float = 1.0
    """Sampling divides the logits by it."""
    top_k: int | None = None
    """Sampling draws among this many most probable tokens. None = among all."""
    top_p: float | None = None
    """Sampling draws among the fewest tokens whose probabilities sum to at least
    top_p. None = among all."""
    seed: int = 0
    """Seed of sampling."""
    batch_tokens: int | None = None
    """Source tokens, padding included, translated together on a device. None = 2,048
    on CPUs, 32,768 elsewhere."""
    max_source_tokens: int | None = None
    """Longest source sentence that is translated whole. None = data.source_length of
    the training run."""
    too_long: Literal["split", "refuse"] = "split"
    """Longer sentences are split into parts and translated, or refused; likewise given
    pairs with a longer side."""
    compute_dtype: Literal["float32", "bfloat16"] | None = None
    """None = as in training."""
    alignment_layer: int | None = None
    """Decoder layer whose attention aligns words, from 0, or from the end if negative.
    None = the last."""

    def __post_init__(self) -> None:
        require_types("decoding", self)
        require_at_least(
            "decoding", self,
            beam_size=1, length_penalty_alpha=0, coverage_penalty=0, min_length=0,
            max_extra_length=1, no_repeat_ngram_size=1, top_k=1, seed=0,
            batch_tokens=1, max_source_tokens=2,
        )  # fmt: skip
        # A larger alpha would take the penalty of long outputs out of float32.
        require_at_most("decoding", self, seed=MOST_SEED, length_penalty_alpha=10)
        require_sizes(
            "decoding", self,
            "beam_size", "min_length", "max_extra_length", "no_repeat_ngram_size",
            "top_k", "batch_tokens", "max_source_tokens",
        )  # fmt: skip
        for token in self.forbidden_tokens:
            if not 0 <= token <= MOST_SIZE:
                raise InputError(
                    f"decoding.forbidden_tokens={self.forbidden_tokens} must be token "
                    f"ids, from 0 to {MOST_SIZE}."
                )
        require_positive("decoding", self, "temperature", "top_p")
        floats = "temperature", "top_p", "coverage_penalty"
        require_float32("decoding", self, *floats)
        if self.top_p is not None and self.top_p > 1:
            raise InputError(f"decoding.top_p={self.top_p} must be at most 1.")
        if not self.sampling:
            for name, off in ("temperature", 1.0), ("top_k", None), ("top_p", None):
                if getattr(self, name) != off:
                    raise InputError(
                        f"decoding.{name}={getattr(self, name)} is of use in sampling "
                        "only: set decoding.sampling=true."
                    )

    def of_programs(self) -> "DecodingConfig":
        """Returns a copy with only what compiled programs of a search depend on.

        Searches with equal copies share their programs.
        """
        free = (
            "max_extra_length", "batch_tokens", "max_source_tokens", "too_long",
            "compute_dtype", "alignment_layer", "seed",
        )  # fmt: skip
        default = DecodingConfig()
        values = {name: getattr(default, name) for name in free}
        return dataclasses.replace(self, **values)

    def replace(self, **changes: Unpack[DecodingSettings]) -> "DecodingConfig":
        """Returns a copy with other values for some settings.

        Raises:
            InputError: there is no setting of that name, or its value is refused.

        Example:
            >>> tj.DecodingConfig().replace(beam_sise=1)  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            ...
            transformer_jax.errors.InputError: beam_sise is not ... mean beam_size?
        """
        check_keywords(changes)
        return dataclasses.replace(self, **changes)
