"""Large pages of memory, where the C library asks for them only if it is told to.

A step on CPUs allocates hundreds of megabytes and frees them at its end. In pages of
4 KB, clearing them again takes a sixth of the step; in pages of 2 MB, next to nothing.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from transformer_jax.devices.host_memory import has_accelerator, is_glibc

_TUNABLES, _LARGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
_PACKAGE, _SCRIPT = "transformer_jax", "transformer-jax"
_OF_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def has_large_pages(environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether large blocks of this process lie in large pages."""
    given = environment.get(_TUNABLES, "").split(":")
    asks = any(setting in given for setting in (f"{_LARGE}=1", f"{_LARGE}=2"))
    mode = _kernel_mode()
    return mode == "always" or (mode == "madvise" and asks)


def restart_with_large_pages() -> None:
    """Starts this program again with large pages, in the same process, if they help.

    The C library reads its settings only when a program starts, so call it first of
    all. Nothing happens in another program, which may have done something already;
    without glibc, with an accelerator, or where the kernel gives large pages to nobody
    or to everybody.
    """
    wanted = _wanted_tunables()
    if wanted is None or not _is_own_program():
        return
    with contextlib.suppress(OSError):  # It goes on as it is.
        os.execve(
            sys.executable,
            [sys.executable, *sys.orig_argv[1:]],
            {**os.environ, _TUNABLES: wanted},
        )


def _is_own_program() -> bool:
    """Returns whether Python was started for this package's program and nothing else.

    As `transformer-jax ...` or `python -m transformer_jax ...`.
    """
    arguments = sys.argv[1:]
    cut = len(sys.orig_argv) - len(arguments)
    before, after = sys.orig_argv[1:cut], sys.orig_argv[cut:]
    if not before or after != arguments:
        return False
    return before[-2:] == ["-m", _PACKAGE] or (
        os.path.basename(before[-1]) == _SCRIPT and os.path.isfile(before[-1])
    )


def _wanted_tunables() -> str | None:
    """Returns the settings of glibc to start again with; None = stay."""
    given = os.environ.get(_TUNABLES, "")
    if _LARGE in given or _kernel_mode() != "madvise" or not sys.executable:
        return None
    if not is_glibc() or has_accelerator():
        return None
    return ":".join(filter(None, (given, f"{_LARGE}=1")))


def _kernel_mode() -> str:
    """Returns the word in brackets, as of `always [madvise] never`; "" = unknown."""
    try:
        text = _OF_KERNEL.read_text()
    except OSError:
        return ""
    return text.partition("[")[2].partition("]")[0]
