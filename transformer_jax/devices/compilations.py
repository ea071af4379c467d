"""Counting the programs that XLA compiles."""

from typing import Any

import jax


class CompileCounter:
    """Counts the programs XLA compiles in this process while it is open."""

    _EVENT = "/jax/core/compile/backend_compile_duration"

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        self.count += event == self._EVENT

    def close(self) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
