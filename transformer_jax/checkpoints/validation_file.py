"""The validation results of a checkpoint, added to it once they are known.

A checkpoint is written before it is evaluated, so that an interrupted evaluation costs
no training. The results lie in its file `metrics/metrics`, with the yardstick they were
measured by and a checksum.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any

from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import StoredPath, write_whole

YARDSTICK = "yardstick"
_CHECKSUM = "crc32"
_KINDS = int | float | None

logger = logging.getLogger(__name__)


def write_validation(directory: StoredPath, values: Mapping[str, Any]) -> None:
    """Writes the results into the directory of a checkpoint."""
    (directory / "metrics").mkdir(parents=True, exist_ok=True)
    text = json.dumps({**values, _CHECKSUM: _checksum(values)})
    write_whole(directory / "metrics" / "metrics", text.encode())


def read_validation(directory: StoredPath) -> dict[str, Any]:
    """Returns the results in the directory of a checkpoint, {} where there are none.

    Damaged ones are none, with a warning: the checkpoint itself is sound.
    """
    path = directory / "metrics" / "metrics"
    try:
        values: dict[str, Any] = parse_json(path.read_bytes())
        written = values.pop(_CHECKSUM, None)
        numbers = {name: v for name, v in values.items() if name != YARDSTICK}
        if not all(isinstance(value, _KINDS) for value in numbers.values()):
            raise ValueError("a value of another type")
        if written is None or written == _checksum(values):
            return values
        reason = "its checksum is not that of what was written"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error)
    logger.warning("%s is damaged (%s): left out", path, reason)
    return {}


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
