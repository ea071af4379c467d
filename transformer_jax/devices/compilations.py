"""Counting the programs that XLA compiles."""

from typing import Any

import jax


class CompileCounter:
    """Counts the programs XLA compiles while it is open, and the seconds that takes."""

    _EVENT = "/jax/core/compile/backend_compile_duration"

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == self._EVENT:
            self.count += 1
            self.seconds += duration_secs

    def close(self) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
