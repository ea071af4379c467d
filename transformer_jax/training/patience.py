"""Early stopping: the evaluations in a row that have not improved on the best result.

A checkpoint is written before it is evaluated. Its record has the plateau before that
evaluation, and the results beside it lead to the plateau after it: so a run that
continues from it counts as the run did that has written it.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformer_jax.checkpoints.options import metric_of, rank
from transformer_jax.config.experiment import BestMetric, TrainingConfig
from transformer_jax.devices.agreement import same_on_all_hosts
from transformer_jax.errors import InputError


@dataclass(frozen=True)
class Plateau:
    """The best validation result of a run so far, and what has come since."""

    metric: BestMetric | None = None
    yardstick: str | None = None
    """By what text and settings it was measured."""
    best: float | None = None
    """None = no evaluation had a finite value."""
    best_step: int = 0
    last_step: int = 0
    """Of the last evaluation that counts."""
    evaluations: int = 0
    """Those in a row that were no better than the best."""

    def after(
        self,
        step: int,
        results: Mapping[str, Any],
        yardstick: str | None,
        settings: TrainingConfig,
    ) -> "Plateau":
        """Returns the plateau after an evaluation.

        One that is made again counts once. That of a last step between two regular ones
        does not count: a run of more steps would not have made it. By another metric or
        yardstick the count begins anew, because such results cannot be compared.
        """
        if step <= self.last_step or step % settings.evaluate_every_steps:
            return self
        metric = metric_of(results, settings.best_metric)
        before = self
        if (metric, yardstick) != (self.metric, self.yardstick):
            before = Plateau(metric=metric, yardstick=yardstick)
        now = dataclasses.replace(before, last_step=step)
        if rank(results, metric) > rank({metric: before.best}, metric):
            better = {"best": results[metric], "best_step": step, "evaluations": 0}
            return dataclasses.replace(now, **better)
        return dataclasses.replace(now, evaluations=before.evaluations + 1)

    def why_over(self, step: int, settings: TrainingConfig) -> str | None:
        """Returns why a run ends at a step before its last, None where it does not."""
        patience = settings.patience_evaluations
        if patience is None or self.evaluations < patience:
            return None
        if step >= settings.num_steps:
            return None
        best = (
            "had no value"
            if self.best is None
            else f"not improved on {self.best:.4g} of step {self.best_step:,}"
        )
        plural = "" if self.evaluations == 1 else "s"
        return (
            f"{self.metric} has {best} for {self.evaluations} evaluation{plural} "
            f"(training.patience_evaluations={patience})"
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plateau":
        """Returns the plateau in the record of a checkpoint.

        Raises:
            ValueError: a value is not what it can be.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        found = cls(**{k: v for k, v in values.items() if k in names})
        counts = found.best_step, found.last_step, found.evaluations
        if not all(isinstance(n, int) and n >= 0 for n in counts):
            raise ValueError("a count of evaluations that is none")
        if not isinstance(found.best, int | float | None):
            raise ValueError("a best result that is no number")
        return found


class Patience:
    """How long a run still waits for a better result."""

    def __init__(self, settings: TrainingConfig, plateau: Plateau) -> None:
        """`plateau` is that of the checkpoint from which the run goes on."""
        self._settings = settings
        self.plateau = plateau
        self.why_over = plateau.why_over(plateau.last_step, settings)
        """Why the run ends before its last step; None = it goes on."""

    def note(
        self, step: int, results: Mapping[str, Any], yardstick: str | None
    ) -> None:
        """Notes the results of an evaluation. Every process must call it."""
        self.plateau = self.plateau.after(step, results, yardstick, self._settings)
        why = self.plateau.why_over(step, self._settings)
        if self._settings.patience_evaluations is not None:
            is_over = bool(same_on_all_hosts(why is not None))
            why = (why or "the primary process has ended the run") if is_over else None
        self.why_over = why


def check_patience(settings: TrainingConfig, *, has_validation: bool) -> None:
    """Checks that a run which is to end early can notice when.

    Raises:
        InputError: it has no validation text.
    """
    if settings.patience_evaluations is not None and not has_validation:
        raise InputError(
            f"training.patience_evaluations={settings.patience_evaluations} needs a "
            "validation text: name one (data.validation_source_path, "
            "data.validation_target_path; treebank.validation_paths; validation_pairs "
            "in Python), or set it to none."
        )
