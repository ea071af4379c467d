"""What the other processes of a run say when one of them has ended."""

import contextlib
import itertools
import re
import textwrap
import threading
import time
from collections.abc import Iterator

import jax

from transformer_jax.devices.notices import publish, read_notices
from transformer_jax.errors import InputError, ProcessLost

# Every process leaves a new notice more often than this.
_LISTEN_SECONDS = 12.0
_SHOW_SECONDS = 4.0


# What errors say if the exchange between processes has failed. Their types say nothing:
# JAX raises some as ValueErrors.
_EXCHANGE = re.compile(
    r"gloo|nccl|connection (closed|reset|refused)|socket closed|coordination.?service"
    r"|barrier|heartbeat|unavailable:",
    re.IGNORECASE,
)


def is_of_exchange(error: BaseException) -> bool:
    """Returns whether an error comes from the exchange between processes."""
    # These name what the user has given, as a file that is called barrier.txt.
    if isinstance(error, InputError) or getattr(error, "filename", None) is not None:
        return False
    return bool(_EXCHANGE.search(str(error))) and jax.process_count() > 1


@contextlib.contextmanager
def showing_life(name: str, remedy: str) -> Iterator[None]:
    """Lets processes that work side by side say which of them is lost, if one is.

    Every process must enter it.

    Args:
        name: of the work, for the notices that this process renews meanwhile.
        remedy: what to do when a process is lost.

    Raises:
        ProcessLost: as `naming_lost_process`.
    """
    if jax.process_count() == 1:
        yield
        return
    is_over = threading.Event()

    def show() -> None:
        for number in itertools.count():
            publish(name, str(number))
            if is_over.wait(_SHOW_SECONDS):
                return

    threading.Thread(target=show, daemon=True).start()
    try:
        with naming_lost_process(name, remedy):
            yield
    finally:
        is_over.set()


@contextlib.contextmanager
def naming_lost_process(
    notice: str,
    remedy: str = "start the job again, and it continues from its last checkpoint",
) -> Iterator[None]:
    """Turns an error of the exchange between processes into one that names the cause.

    Args:
        notice: name of a notice that every process renews, see `notices`.
        remedy: what to do about it.

    Raises:
        ProcessLost: a computation of several processes has failed.
    """
    try:
        yield
    except Exception as error:
        if not is_of_exchange(error):
            raise
        raise ProcessLost(
            f"{_silent(notice)} has ended or cannot be reached ({reason_of(error)}): "
            f"{remedy}"
        ) from error


def reason_of(error: BaseException) -> str:
    """Returns the beginning of an error of the exchange, in one line."""
    return textwrap.shorten(str(error), 120, placeholder=" ...")


def _silent(notice: str) -> str:
    """Returns the name of the processes that leave no new notice."""
    before = read_notices(notice)
    time.sleep(_LISTEN_SECONDS)
    now = read_notices(notice)
    silent = [i for i in before if now.get(i) == before[i] and i != jax.process_index()]
    if not silent:
        return "another process of this run"
    return "process " + " and ".join(map(str, sorted(silent)))
