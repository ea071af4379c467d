"""Reading what is not on this machine: a store that fails is asked again."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")

_WAITS_SECONDS = (1.0, 4.0, 16.0, 60.0)

logger = logging.getLogger(__name__)


def retry(what: str, read: Callable[[], _Result], *, remote: bool) -> _Result:
    """Returns what `read` returns; where it is remote, tries again after an error.

    Args:
        what: name of what is read, for the log.
        remote: whether the error may be one of the network.
    """
    for wait in _WAITS_SECONDS if remote else ():
        try:
            return read()
        except Exception as error:
            logger.warning(
                "%s cannot be read (%.160s): trying again in %.0f s",
                what,
                " ".join(str(error).split()) or type(error).__name__,
                wait,
            )
            time.sleep(wait)
    return read()
