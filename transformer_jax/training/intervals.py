"""When a run reports, evaluates and saves."""

import math
import time

from transformer_jax.config.experiment import TrainingConfig
from transformer_jax.devices.agreement import same_on_all_hosts


class Intervals:
    """The steps after which something is due besides the next update."""

    def __init__(self, settings: TrainingConfig, *, has_validation: bool) -> None:
        self._settings = settings
        self._has_validation = has_validation
        self._checkpointed = time.monotonic()

    def is_last(self, step: int) -> bool:
        """Whether training ends with this step."""
        return step >= self._settings.num_steps

    def is_logged(self, step: int) -> bool:
        """Whether a line of metrics is due."""
        return step % self._settings.log_every_steps == 0 or self.is_last(step)

    def is_evaluated(self, step: int) -> bool:
        """Whether the validation text is to be evaluated."""
        is_time = step > 0 and step % self._settings.evaluate_every_steps == 0
        return self._has_validation and (is_time or self.is_last(step))

    def is_any(self, step: int) -> bool:
        """Whether something may be due: the update must have ended by then."""
        settings = self._settings
        numbers = (
            settings.log_every_steps,
            settings.evaluate_every_steps,
            settings.checkpoint_every_steps,
        )
        return self.is_last(step) or any(n and step % n == 0 for n in numbers)

    def is_saved(self, step: int) -> bool:
        """Whether a checkpoint is due. Every process must ask after the same steps."""
        every = self._settings.checkpoint_every_steps
        if self.is_last(step) or self.is_evaluated(step):
            return True
        if every and step % every == 0:
            return True
        minutes = (time.monotonic() - self._checkpointed) / 60
        limit = self._settings.checkpoint_every_minutes or math.inf
        # Clocks of hosts differ, but all must save at the same step.
        return bool(same_on_all_hosts(minutes >= limit))

    def note_saved(self) -> None:
        """Notes that a checkpoint was begun just now."""
        self._checkpointed = time.monotonic()
