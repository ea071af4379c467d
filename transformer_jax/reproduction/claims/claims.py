"""The claims that can be measured, by name."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import config_to_dict, load_config
from transformer_jax.errors import InputError
from transformer_jax.reproduction.claims.attention_scale import measure_attention_scale
from transformer_jax.reproduction.claims.label_smoothing import measure_label_smoothing
from transformer_jax.reproduction.claims.report import open_claim
from transformer_jax.reproduction.claims.trained_lengths import measure_trained_lengths
from transformer_jax.reproduction.claims.variants import validation_pairs
from transformer_jax.reproduction.same_run import check_texts_stay


@dataclass(frozen=True, kw_only=True)
class Claim:
    """How a claim is measured."""

    measure: Callable[..., dict[str, Any]]
    section: str
    """Of the paper; no other claim is of it."""
    sets: tuple[str, ...]
    """Settings that its variants differ in."""


_CLAIMS = {
    "claim-attention-scale": Claim(
        measure=measure_attention_scale,
        section="3.2.1",
        sets=("model.d_k", "model.attention_scale"),
    ),
    "claim-trained-lengths": Claim(
        measure=measure_trained_lengths, section="3.5", sets=("model.positions",)
    ),
    "claim-label-smoothing": Claim(
        measure=measure_label_smoothing,
        section="5.4",
        sets=("training.label_smoothing",),
    ),
}
CLAIMS = tuple(_CLAIMS)


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
        InputError: there is no such claim, its variants set what `config` sets, there
            is no text to compare them on, another claim is in the directory, or as
            `train`.

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
    claim = _CLAIMS[name]
    _check_settings(name, claim, config)
    check_texts_stay(config)
    validation_pairs(config)
    with open_claim(workdir, claim.section):
        return claim.measure(config, workdir, progress=progress)


def _check_settings(name: str, claim: Claim, config: ExperimentConfig) -> None:
    """Checks that the settings are of a translator, and leave the claim its own.

    Raises:
        InputError: they do not.
    """
    if config.treebank.is_used:
        raise InputError(f"{name} is measured on sentence pairs: leave out treebank.")
    given, usual = config_to_dict(config), config_to_dict(claim_settings())
    for setting in claim.sets:
        section, field = setting.split(".")
        value = given[section][field]
        if value != usual[section][field]:
            raise InputError(
                f"{name} compares values of {setting}, which its variants set: leave "
                f"out {setting}={value}."
            )
