"""Warnings of Orbax that tell its user nothing."""

import logging

# What is read-only was asked for; and items of a checkpoint have no such file, only
# the checkpoint has.
_EXPECTED = (
    "CheckpointManagerOptions.read_only=True",
    "Given directory is read only=",
    "Metadata file does not exist: ",
)


def drop_expected_warnings() -> None:
    """Drops these warnings, and no others, from the log that Orbax writes to."""
    logger = logging.getLogger("absl")
    if _is_unexpected not in logger.filters:
        logger.addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_EXPECTED)
