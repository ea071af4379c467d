"""Memory of the C library for steps on CPUs."""

import ctypes
import functools
import glob
import logging
import sys

# From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_ACCELERATORS = ("/dev/accel*", "/dev/kfd", "/dev/nvidia[0-9]*", "/dev/vfio/[0-9]*")

logger = logging.getLogger(__name__)


def has_accelerator() -> bool:
    """Returns whether this machine has device files as those with accelerators have."""
    return any(map(glob.glob, _ACCELERATORS))


def is_glibc() -> bool:
    """Returns whether the C library of this process is glibc."""
    return sys.platform == "linux" and hasattr(
        ctypes.CDLL(None), "gnu_get_libc_version"
    )


@functools.cache
def keep_freed_memory() -> bool:
    """Makes the process keep the memory that it frees; returns whether it does.

    A step on CPUs allocates hundreds of megabytes and frees them at its end. By default
    glibc returns them to the system, which clears every page before the next step: a
    sixth of the time of a step. With an accelerator, or another C library, nothing is
    changed.

    Only for one device: the blocks of several do not fit into the gaps that they
    leave, and the heap would grow with every step. `large_pages` is better where it can
    be had.

    Call it before JAX looks for devices: JAX starts threads then, and each of them
    would get a heap of its own.
    """
    if not is_glibc() or has_accelerator():
        return False
    library = ctypes.CDLL(None)
    # One heap for all threads; it never shrinks, and no array lies outside of it.
    settings = (_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1)
    done = [library.mallopt(parameter, value) for parameter, value in settings]
    logger.debug("mallopt: %s", done)
    return all(done)
