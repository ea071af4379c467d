"""Settings of decoding: beam search as in the paper, and what else users ask for."""

from dataclasses import dataclass
from typing import Literal

from transformer_jax.config.checks import (
    require_at_least,
    require_positive,
    require_types,
)
from transformer_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How sentences are translated. Paper: section 6.1."""

    beam_size: int = 4
    """Hypotheses kept for a sentence; 1 is greedy search."""
    length_penalty: Literal["gnmt", "length", "none"] = "gnmt"
    length_penalty_alpha: float = 0.6
    coverage_penalty: float = 0.0
    """Beta of GNMT's penalty for source tokens that got little attention."""
    early_stopping: Literal["exact", "first"] = "exact"
    """A sentence ends when nothing can improve its result, or when beam_size
    hypotheses have ended, which is sooner."""
    min_length: int = 0
    """Output tokens before the end is allowed."""
    max_extra_length: int = 50
    """An output has at most this many tokens more than its source."""
    no_repeat_ngram_size: int | None = None
    """No n-gram of this many tokens appears twice in an output."""
    sampling: bool = False
    """Draw outputs from the model's probabilities, as many as are asked for, instead of
    searching for the best."""
    temperature: float = 1.0
    """Of sampling: logits are divided by it."""
    top_k: int | None = None
    """Draw among this many most probable tokens only."""
    top_p: float | None = None
    """Draw among the fewest tokens that together are at least this probable."""
    seed: int = 0
    batch_tokens: int | None = None
    """Source tokens, padding included, translated together on a device. None = 2,048
    on CPUs, 32,768 elsewhere."""
    max_source_tokens: int | None = None
    """Longer sentences are too long. None = data.source_length of the training."""
    too_long: Literal["split", "refuse"] = "split"
    """Sentences that are too long are translated in parts, or refused."""
    compute_dtype: Literal["float32", "bfloat16"] | None = None
    """None = as trained."""

    def __post_init__(self) -> None:
        require_types("decoding", self)
        require_at_least(
            "decoding", self,
            beam_size=1, length_penalty_alpha=0, coverage_penalty=0, min_length=0,
            max_extra_length=1, no_repeat_ngram_size=1, top_k=1, seed=0,
            batch_tokens=1, max_source_tokens=2,
        )  # fmt: skip
        require_positive("decoding", self, "temperature", "top_p")
        if self.top_p is not None and self.top_p > 1:
            raise InputError(f"decoding.top_p={self.top_p} must be at most 1.")
        if not self.sampling:
            for name, off in ("temperature", 1.0), ("top_k", None), ("top_p", None):
                if getattr(self, name) != off:
                    raise InputError(
                        f"decoding.{name}={getattr(self, name)} is of use in sampling "
                        "only: set decoding.sampling=true."
                    )
