"""A watchdog: says where a run is waiting when it has made no progress for long."""

import contextlib
import itertools
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import jax

from transformer_jax.devices.joining import is_primary
from transformer_jax.devices.lost_processes import naming_lost_process
from transformer_jax.devices.notices import publish, read_notices

_NOTICE = "progress"
_LOOK_SECONDS = 5.0
# JAX itself ends every process 100 s after one has died, without a line that one reads.
_SILENT_SECONDS = 60.0
# The last lines of the stack tell where it waits.
_STACK_LINES = 12

logger = logging.getLogger(__name__)


class Watchdog:
    """Watches a run; `beat` tells it that there was progress.

    One process that hangs makes all others wait for it without end. So a process of
    several ends when there was no progress for the set time: whoever has started the
    job can then start it again. So does the primary if it hears nothing more from
    another one; when the primary ends, the others do too.
    """

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self._phase, self._step = "starting", 0
        self._last = time.monotonic()
        self._closing = threading.Event()
        self._main = threading.get_ident()
        self._told = False
        self._heard: dict[int, tuple[str, float]] = {}
        """The last notice of each process, and when it came."""

    def beat(self, phase: str, step: int) -> None:
        """Notes progress: what is being done now, after which step."""
        self._phase, self._step = phase, step
        self._last = time.monotonic()
        self._told = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches while the block runs."""
        if self._seconds is None:
            yield
            return
        self.beat("starting", self._step)
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            with naming_lost_process(_NOTICE):
                yield
        finally:
            self._closing.set()

    def _watch(self) -> None:
        assert self._seconds is not None
        seconds = self._seconds
        for number in itertools.count():
            if self._closing.wait(min(_LOOK_SECONDS, seconds / 4)):
                return
            text = f"{self._phase} after step {self._step:,}"
            publish(_NOTICE, f"{number}|{text}")
            if is_primary():
                self._listen()
            waited = time.monotonic() - self._last
            if waited < seconds or self._told:
                continue
            self._told = True
            self._report(waited)
            if jax.process_count() > 1:
                logger.error("ending, so that the job can be started again")
                os._exit(1)

    def _listen(self) -> None:
        """Ends the process if another one has shown no sign of life for long."""
        now = time.monotonic()
        for index, notice in read_notices(_NOTICE).items():
            before, since = self._heard.get(index, ("", now))
            if notice != before:
                self._heard[index] = notice, now
            elif now - since > _SILENT_SECONDS:
                logger.error(
                    "process %d has shown no sign of life for %.0f s (it was %s): "
                    "ending, so that the job can be started again; it continues from "
                    "its last checkpoint",
                    index,
                    now - since,
                    notice.partition("|")[2],
                )
                os._exit(1)

    def _report(self, waited: float) -> None:
        frame = sys._current_frames().get(self._main)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        lines = stack.rstrip().splitlines()[-_STACK_LINES:]
        logger.error(
            "no progress for %.1f minutes: %s after step %d%s; waiting in\n%s",
            waited / 60,
            self._phase,
            self._step,
            _others(),
            "\n".join(lines),
        )


def _others() -> str:
    """Returns what the other processes were last known to do."""
    told = read_notices(_NOTICE)
    others = {
        index: text.partition("|")[2]
        for index, text in told.items()
        if index != jax.process_index()
    }
    if not others:
        return ""
    listed = "; ".join(f"process {i}: {text}" for i, text in sorted(others.items()))
    return f" ({listed})"
