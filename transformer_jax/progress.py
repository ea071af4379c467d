"""Progress shown to people: a bar on a terminal or in a notebook, otherwise lines."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType

from tqdm.auto import tqdm

from transformer_jax.devices.joining import is_primary

# Between two lines, where it is not the caller that decides when to print one.
_SECONDS_BETWEEN_LINES = 10.0
# Lines whose time counts for the rate: a machine may become slower or faster.
_RECENT_LINES = 10


class Progress:
    """The progress of a piece of work, on standard error of the primary process.

    A log has no use for a bar that is drawn over itself: where standard error is no
    terminal, lines are printed instead.
    """

    def __init__(
        self, total: int | None, unit: str, *, done: int = 0, shown: bool = True
    ) -> None:
        """Shows the start.

        Args:
            total: number of units of all the work; None where it is not known.
            unit: in the plural, as `sentences`.
            done: units done before; they do not count for the rate.
            shown: False = show nothing at all.
        """
        self._total, self._unit, self._done = total, unit, done
        is_shown = shown and is_primary()
        self._bar: tqdm[None] | None = None
        if is_shown and has_bar():
            self._bar = tqdm(total=total, initial=done, unit=f" {unit}")
        self._prints = is_shown and self._bar is None and sys.stderr is not None
        self._activity = ""
        self._printed = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RECENT_LINES)
        """Time and units done, at the start and at each line."""

    def advance(self, done: int) -> None:
        """Notes how many units are done by now."""
        if done == self._done:
            return
        if not self._recent:
            # The rate is counted from here on: before, programs were compiled.
            self._recent.append((time.monotonic(), done))
        if self._bar is not None:
            self._bar.update(done - self._done)
        self._done = done

    def show(self, numbers: Mapping[str, str]) -> None:
        """Shows numbers beside the bar, or prints a line with them."""
        if self._bar is not None:
            self._bar.set_postfix(numbers, refresh=False)
        elif self._prints:
            named = ", ".join(f"{name} {value}" for name, value in numbers.items())
            self._print(f"{self._line()}: {named}")

    def show_done(self, done: int) -> None:
        """Shows how many units are done by now: lines are 10 seconds apart."""
        self.say("")
        self.advance(done)
        waited = time.monotonic() - self._printed
        if self._prints and waited >= _SECONDS_BETWEEN_LINES:
            self._print(self._line())

    def say(self, activity: str) -> None:
        """Says what is being done, as `compiling`; "" = the work itself again."""
        if activity == self._activity:
            return
        self._activity = activity
        if self._bar is not None:
            self._bar.set_description_str(activity)
        elif self._prints and activity:
            self._print(f"{activity} ...")

    def write(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self._prints:
            self._print(text)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _print(self, text: str) -> None:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:  # A full disk, or a reader that is gone: the work goes on.
            self._prints = False
        self._printed = time.monotonic()

    def _line(self) -> str:
        """Returns `200 of 2,000 steps (10 %), 12.5 steps/s, 2:24 left`."""
        one = self._unit.removesuffix("s")
        parts = [f"{self._done:,} {one if self._done == 1 else self._unit}"]
        if self._total is not None:
            percent = 100 * self._done // max(1, self._total)
            parts = [f"{self._done:,} of {self._total:,} {self._unit} ({percent} %)"]
        now = time.monotonic()
        started, first = self._recent[0] if self._recent else (now, self._done)
        seconds, number = now - started, self._done - first
        self._recent.append((now, self._done))
        if number > 0 and seconds > 0:
            rate = number / seconds
            shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
            parts.append(f"{shown} {self._unit}/s")
            if self._total is not None:
                left = max(0, self._total - self._done) / rate
                parts.append(f"{tqdm.format_interval(left)} left")
        return ", ".join(parts)


def has_bar() -> bool:
    """Returns whether standard error is a terminal or a notebook, which draw bars."""
    # By its name: the class itself would have to be imported, with all of IPython.
    is_notebook = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
    return is_notebook or (sys.stderr is not None and sys.stderr.isatty())
