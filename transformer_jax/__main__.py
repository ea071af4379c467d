"""The program `transformer-jax`, also as `python -m transformer_jax`."""

import atexit
import contextlib
import gc
import os
import signal
import sys

from transformer_jax.devices.large_pages import restart_with_large_pages

_SIGNAL = 128  # Exit codes above it say which signal has ended a process.


def main() -> int:
    """Runs the command line in a process with large pages; returns the exit code."""
    # Before and after a command, Ctrl-C ends the process without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    restart_with_large_pages()
    # Imports make hundreds of thousands of objects, none of them garbage.
    gc.set_threshold(20_000, 20, 20)
    # At its end Python would look for garbage among half a million objects.
    atexit.register(gc.freeze)
    # Only now: what is imported before a restart is imported twice.
    from transformer_jax.cli import main

    code = main()
    if code > _SIGNAL:
        # What a signal has interrupted may still compute, and must not meet Python's
        # end: C++ would abort, with another code and a message of its own.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
