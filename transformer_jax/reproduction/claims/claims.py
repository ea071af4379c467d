"""The claims that can be measured, by name."""

import difflib
import os
from collections.abc import Callable
from typing import Any

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import load_config
from transformer_jax.errors import InputError
from transformer_jax.reproduction.claims.attention_scale import measure_attention_scale
from transformer_jax.reproduction.claims.label_smoothing import measure_label_smoothing
from transformer_jax.reproduction.claims.trained_lengths import measure_trained_lengths

_MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "attention-scale": measure_attention_scale,
    "trained-lengths": measure_trained_lengths,
    "label-smoothing": measure_label_smoothing,
}
PREFIX = "claim-"
CLAIMS = tuple(PREFIX + name for name in _MEASURES)


def claim_settings() -> ExperimentConfig:
    """Returns the settings that claims are measured with where none are given."""
    return load_config("claims")


def measure_claim(
    name: str,
    workdir: str | os.PathLike[str],
    *,
    config: ExperimentConfig | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains the small models of a claim of the paper's text; returns what they show.

    The work directory gets `claim.json`, `claim.md` and `claim.svg`, and a run for each
    variant. The same call continues where it was interrupted.

    Args:
        name: `claim-attention-scale` (section 3.2.1), `claim-trained-lengths` (3.5) or
            `claim-label-smoothing` (5.4).
        config: settings that the variants have in common; None = a small model on the
            built-in corpus.
        progress: show progress on standard error.

    Raises:
        InputError: there is no such claim, or as `train`.

    Example:
        >>> tj.measure_claim("claim-attention-scales", "runs/scale")
        Traceback (most recent call last):
            ...
        transformer_jax.errors.InputError: claim-attention-scales is not a claim that \
can be measured: did you mean claim-attention-scale?
    """
    if name not in CLAIMS:
        near = difflib.get_close_matches(name, CLAIMS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose of {', '.join(CLAIMS)}."
        raise InputError(f"{name} is not a claim that can be measured: {hint}")
    if config is None:
        config = claim_settings()
    require_config(config, ExperimentConfig)
    measure = _MEASURES[name.removeprefix(PREFIX)]
    return measure(config, workdir, progress=progress)
