"""How the C library hands out the memory of a step on CPUs."""

import ctypes
import functools
import glob
import logging
import sys

# From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_ACCELERATORS = ("/dev/accel*", "/dev/kfd", "/dev/nvidia[0-9]*", "/dev/vfio/[0-9]*")

logger = logging.getLogger(__name__)


@functools.cache
def keep_freed_memory() -> bool:
    """Makes the process keep what it frees, for the next step; returns whether it does.

    A step on CPUs takes hundreds of megabytes and gives them back at its end. By
    default glibc returns them to the system, which then clears every page anew: a
    fifth of the time of a step. Where there is an accelerator, or another C library,
    nothing is changed.

    To be called before JAX looks for devices: the threads it starts then each get a
    heap of their own otherwise.
    """
    if sys.platform != "linux" or any(map(glob.glob, _ACCELERATORS)):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    # One heap for all threads, never trimmed, and nothing outside it.
    settings = (_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1)
    done = [library.mallopt(parameter, value) for parameter, value in settings]
    logger.debug("mallopt: %s", done)
    return all(done)
