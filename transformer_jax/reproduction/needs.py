"""What each target needs: data, disk, and hours at the least."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformer_jax.model.size import parameter_counts
from transformer_jax.reproduction.scaling import target_settings
from transformer_jax.reproduction.targets import TARGETS, Target

# Seconds of an update by machine, written by benchmarks/plan_targets.py.
_SECONDS = Path(__file__).with_name("update_seconds.json")

# Gigabytes of a data set: the archives and what TFDS makes of them, and the encoded
# corpus of a run.
_DATA = {
    "wmt14_translate/de-en": ("WMT14 English-German, 4.5M pairs, through TFDS", 10),
    "wmt14_translate/fr-en": ("WMT14 English-French, 40.8M pairs, through TFDS", 55),
    None: ("Penn Treebank, LDC99T42", 1),
}
_SEMI = ("Penn Treebank, LDC99T42, and 17M sentences parsed by machine", 10)
# Parameters and the two moments of Adam, in float32.
_BYTES_OF_A_PARAMETER = 12


def needs_of_targets() -> list[dict[str, Any]]:
    """Returns data, gigabytes of disk and least hours of training, by target.

    The hours are the updates times the roofline of one: what binds of matrix products,
    memory and network. Those of a target that was not planned are left out.
    """
    seconds: dict[str, dict[str, float]] = json.loads(_SECONDS.read_text())
    return [_needs(target, seconds.get(name, {})) for name, target in TARGETS.items()]


def _needs(target: Target, seconds: Mapping[str, float]) -> dict[str, Any]:
    config = target_settings(target)
    data, gigabytes = _DATA[config.data.dataset]
    if target.name == "table4-semi":
        data, gigabytes = _SEMI
    size = sum(parameter_counts(config.model).values()) * _BYTES_OF_A_PARAMETER
    checkpoints = (config.training.keep_last + config.training.keep_best) * size / 1e9
    hours = {
        machine: round(each * config.training.num_steps / 3600, 2)
        for machine, each in seconds.items()
    }
    return {
        "target": target.name,
        "paper_score": target.paper_score,
        "test_set": target.test_set,
        "updates": config.training.num_steps,
        "batch_tokens": config.data.batch_tokens,
        "data": data,
        "disk_gigabytes": round(gigabytes + checkpoints, 1),
        "least_hours": hours,
    }


def needs_table(needs: Sequence[Mapping[str, Any]]) -> str:
    """Returns the needs as a table for people."""
    machines = list(needs[0]["least_hours"])
    least = [f"{machine}, at least" for machine in machines]
    rows = [["target", "paper", "updates", "disk, GB", *least, "data"]]
    for each in needs:
        rows.append(
            [
                each["target"],
                f"{each['paper_score']:g}",
                f"{each['updates']:,}",
                f"{each['disk_gigabytes']:g}",
                *(_hours(each["least_hours"].get(machine)) for machine in machines),
                each["data"],
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _hours(hours: float | None) -> str:
    return "?" if hours is None else f"{hours:.2f} h"
