"""Signals that ask the program to end, and the good order in which it ends.

Schedulers send SIGTERM (a machine is taken back), SIGUSR1 (SLURM, before the time is
up); a lost connection sends SIGHUP, and Ctrl-C SIGINT. By default they raise
`Interrupted` where the program is. Work that can be finished first asks for that with
`finish_first`. A second signal always ends it at once.

Python runs a signal's handler between two of its own instructions, so not before a call
that compiles for minutes has returned. On the command line a thread looks after that.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
]
# A launcher may pass on a signal that the process has received itself.
_SAME_SECONDS = 0.5
_PATIENCE_SECONDS = 2.0
# In these functions an exception is lost, as in those that the garbage collector calls,
# or becomes another one, as in imports: a signal is raised again a moment later.
_SWALLOWING = ("_xla_gc_callback", "__del__", "_find_and_load")
_AGAIN_SECONDS = 0.05
_NOTICE = getattr(signal, "SIGUSR1", 0)
PREEMPTION: int = signal.SIGTERM
"""The signal that a notice of JAX's own service stands for."""
_SECOND = "stopped at once by a second signal"


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work; what the message says is kept.

    It is a KeyboardInterrupt, which Ctrl-C raises otherwise.

    Example:
        >>> tj.Interrupted("ended by SIGTERM after step 8", 15).exit_code
        143
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """As a shell reports a process that a signal has ended."""
        return 128 + self.signal_number


class _Signals:
    """The signals that this process has received."""

    def __init__(self, *, ends_process: bool) -> None:
        self.ends_process = ends_process
        self.received = 0
        """The signal that asks to end; 0 = none."""
        self.is_deferred = False
        self.may_abandon: Callable[[], bool] | None = None
        self.doing = ""
        self._received_at = 0.0
        self._noted_by_thread: set[int] = set()
        self._others: dict[int, Any] = {}
        self._is_over = False

    def install(self) -> None:
        for number in _SIGNALS:
            other = signal.getsignal(number)
            # What the caller handles or ignores, as nohup does, stays so.
            if number in self._others or other in (
                signal.SIG_DFL,
                signal.default_int_handler,
            ):
                self._others.setdefault(number, other)
                signal.signal(number, self._handle)

    def restore(self) -> None:
        """Ends the handling: a signal of this moment finds nothing left to end."""
        self._is_over = True
        for number, other in self._others.items():
            signal.signal(number, other)

    def is_second(self, number: int) -> bool:
        """Returns whether a signal is the second one that asks for the end."""
        if not self.received or self._is_echo():
            return False
        # SIGUSR1 gives notice; SIGTERM at the end of the time is not the user's hurry.
        return number == self.received or self.received != _NOTICE

    def end_at_once(self, number: int, reason: str) -> None:
        """Ends the process without another instruction of its main thread."""
        _say(f"transformer-jax: {reason} ({signal_name(number)})")
        if reason != _SECOND and _leave is not None:
            _leave()
        os._exit(128 + number)

    def note(self, number: int) -> None:
        """Notes a signal that asks for the end, and says what will be done."""
        self.received, self._received_at = number, time.monotonic()
        if self.is_deferred:
            _say(
                f"{signal_name(number)}: ending in good order, once the work of this "
                "moment is saved; a second signal ends at once"
            )

    def _is_echo(self) -> bool:
        return time.monotonic() - self._received_at < _SAME_SECONDS

    def _handle(self, number: int, frame: Any) -> None:
        if self._is_over:
            return
        if number in self._noted_by_thread:
            self._noted_by_thread.remove(number)
            return
        if self.is_second(number):
            if self.ends_process:
                self.end_at_once(number, _SECOND)
            raise Interrupted(_SECOND, number)
        if self.received and self._is_echo():
            return
        if not self.is_deferred and _swallows(frame):
            threading.Timer(_AGAIN_SECONDS, signal.raise_signal, (number,)).start()
            return
        is_first = not self.received
        self.note(number)
        if is_first and not self.is_deferred:
            raise Interrupted(f"interrupted by {signal_name(number)}", number)

    def watch(self, descriptor: int) -> None:
        """Ends the process for signals that its main thread does not come to handle.

        Args:
            descriptor: of a pipe into which Python writes the number of each signal.
        """
        while numbers := os.read(descriptor, 64):
            for number in numbers:
                if number not in self._others:
                    continue
                if self.is_second(number):
                    self.end_at_once(number, _SECOND)
                until = time.monotonic() + _PATIENCE_SECONDS
                while not self.received and time.monotonic() < until:
                    time.sleep(0.05)
                if self._is_over:
                    return
                if not self.received:
                    self._noted_by_thread.add(number)
                    self.note(number)
                    if not self.is_deferred:
                        doing = f" while {self.doing}" if self.doing else ""
                        self.end_at_once(number, f"interrupted{doing}")
            while self.received in self._noted_by_thread and self.may_abandon:
                if self.may_abandon():
                    self.end_at_once(
                        self.received,
                        f"interrupted while {self.doing}; all that was trained is "
                        "saved, and the same command continues",
                    )
                if select.select([descriptor], [], [], 0.2)[0]:
                    break


_active: _Signals | None = None
_leave: Callable[[], None] | None = None


def before_leaving(leave: Callable[[], None]) -> None:
    """Sets what a process calls before a signal ends it: one of several."""
    global _leave
    _leave = leave


def leave_process(code: int) -> None:
    """Ends one of several processes after a signal; returns if this is the only one.

    Python's own end is left out, in which libraries wait for processes that have gone.
    """
    if _leave is not None and _active is not None and _active.ends_process:
        _leave()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


@contextlib.contextmanager
def handle_signals(*, ends_process: bool = False) -> Iterator[None]:
    """Makes SIGINT, SIGTERM, SIGHUP and SIGUSR1 raise `Interrupted` inside the block.

    A signal that the caller handles or ignores is left to it. Outside the main thread,
    which alone receives signals, nothing changes.

    Args:
        ends_process: a second signal ends the process, and so does a first one if the
            main thread does not come to handle it.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _active is not None:
        _active.install()  # Others may have taken the signals meanwhile.
        yield
        return
    signals = _Signals(ends_process=ends_process)
    with _watch_signals(signals) if ends_process else contextlib.nullcontext():
        try:
            _active = signals
            signals.install()
            yield
        finally:
            signals.restore()
            _active = None


@contextlib.contextmanager
def _watch_signals(signals: _Signals) -> Iterator[None]:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    threading.Thread(target=signals.watch, args=(reads,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writes)


@contextlib.contextmanager
def finish_first() -> Iterator[None]:
    """Inside the block a first signal raises nothing: `wanted_signal` returns it."""
    if _active is None:
        yield
        return
    _active.is_deferred = True
    try:
        yield
    finally:
        _active.is_deferred = False


def wanted_signal() -> int:
    """Returns the signal that has asked for the end, 0 if there was none."""
    return _active.received if _active is not None else 0


@contextlib.contextmanager
def doing(
    what: str, *, may_abandon: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Names the work of the block, for the message of one who ends it.

    Args:
        what: as `compiling`.
        may_abandon: returns whether nothing is lost if the process ends inside the
            block; it is called in another thread.
    """
    if _active is None:
        yield
        return
    before = _active.doing, _active.may_abandon
    _active.doing, _active.may_abandon = what, may_abandon
    try:
        yield
    finally:
        _active.doing, _active.may_abandon = before


def _swallows(frame: Any) -> bool:
    """Returns whether an exception raised in a frame would be lost, or turned."""
    while frame is not None:
        if frame.f_code.co_name in _SWALLOWING:
            return True
        frame = frame.f_back
    return False


def signal_name(number: int) -> str:
    """Returns the name of a signal, as SIGTERM."""
    return signal.Signals(number).name


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno() if sys.stderr else 2, f"{text}\n".encode())
