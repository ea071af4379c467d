"""Sums over the updates since the last report."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformer_jax.loss.sums import add_sums, mean_metrics


@dataclass
class Window:
    """Sums over the updates since the last report, and the time they took.

    Skipped updates are counted; they are in no mean.
    """

    sums: dict[str, float] = field(default_factory=dict)
    num_steps: int = 0
    """Updates applied."""
    num_skipped: int = 0
    learning_rate: float = 0.0
    """Of the last update."""
    started: float = field(default_factory=time.perf_counter)

    def add(self, report: Mapping[str, float]) -> None:
        """Adds the metrics of an update that was applied."""
        self.num_steps += 1
        sums = {**report}
        for place in _places(report):
            for name in (f"loss{place}", f"nll{place}"):
                sums[name] = report[f"target_tokens{place}"] * report[name]
        # Corpora may have other names than those of the checkpoint.
        both = dict.fromkeys([*self.sums, *sums], 0.0)
        self.sums = add_sums({**both, **self.sums}, {**both, **sums})
        self.learning_rate = report["learning_rate"]

    def to_dict(self) -> dict[str, Any]:
        """Returns the window as JSON values, for a checkpoint in the middle of it."""
        values = dataclasses.asdict(self)
        del values["started"]
        return {**values, "seconds": time.perf_counter() - self.started}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Window":
        """Returns the window that `to_dict` has described; its time goes on.

        Of nothing a new one.
        """
        if not values:
            return cls()
        names = {f.name for f in dataclasses.fields(cls)} - {"started"}
        fields = {name: value for name, value in values.items() if name in names}
        return cls(**fields, started=time.perf_counter() - values["seconds"])

    def summary(self) -> dict[str, float]:
        """Returns the means per token, per update and per second."""
        seconds = max(time.perf_counter() - self.started, 1e-9)
        return {
            **mean_metrics(self.sums),
            **self._corpus_means(),
            "gradient_norm": self.sums["gradient_norm"] / self.num_steps,
            "learning_rate": self.learning_rate,
            "source_tokens_per_second": self.sums["source_tokens"] / seconds,
            "target_tokens_per_second": self.sums["target_tokens"] / seconds,
            "step_seconds": seconds / self.num_steps,
            "skipped": float(self.num_skipped),
        }

    def _corpus_means(self) -> dict[str, float]:
        """Returns loss, nll and share of the target tokens of each of several corpora.

        Nothing of a corpus that was in no update.
        """
        means, all_tokens = {}, self.sums["target_tokens"]
        for place in _places(self.sums):
            tokens = self.sums[f"target_tokens{place}"]
            if place and tokens:
                means[f"loss{place}"] = self.sums[f"loss{place}"] / tokens
                means[f"nll{place}"] = self.sums[f"nll{place}"] / tokens
                means[f"share{place}"] = tokens / all_tokens
        return means


def _places(report: Mapping[str, float]) -> list[str]:
    """Returns what names of metrics end with: nothing, and "/" with each corpus."""
    names = [name.partition("target_tokens") for name in report]
    return [after for before, found, after in names if found and not before]
