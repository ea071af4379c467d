"""Messages of Orbax, and of what it uses, that tell its user nothing."""

import logging
import sys
from typing import Any

# What is read-only was asked for; and items of a checkpoint have no such file, only
# the checkpoint has.
_EXPECTED = (
    "CheckpointManagerOptions.read_only=True",
    "Given directory is read only=",
    "Metadata file does not exist: ",
    # The error itself is raised; these are those of other files beside it.
    "Task exception was never retrieved",
    "Future exception was never retrieved",
)


def drop_expected_warnings() -> None:
    """Drops these warnings, and no others, from the log that Orbax writes to."""
    for name in ("absl", "asyncio"):
        logger = logging.getLogger(name)
        if _is_unexpected not in logger.filters:
            logger.addFilter(_is_unexpected)


def drop_closed_loops() -> None:
    """Drops the tracebacks of threads that come too late to a save that has failed."""
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not (kind is RuntimeError and str(error) == "Event loop is closed"):
            before(kind, error, trace)

    sys.excepthook = show


def _is_unexpected(record: logging.LogRecord) -> bool:
    # An error that is shown with its traceback is raised as well.
    return not (record.exc_info or record.getMessage().startswith(_EXPECTED))
