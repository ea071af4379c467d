"""The metrics of updates: those applied are summed, those skipped are told of."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.packing import PackedRows
from transformer_jax.data.pipeline import RowOrder
from transformer_jax.data.prepare import PreparedData
from transformer_jax.devices.joining import is_primary
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.training.metrics_file import LinesFile, read_lines, to_json
from transformer_jax.training.soundness import why_unsound
from transformer_jax.training.window import Window

SKIPPED_FILE = "skipped.jsonl"
# A batch may have a thousand pairs.
_MOST_LINES = 100

logger = logging.getLogger(__name__)


class TooManySkipped(Exception):  # noqa: N818 - the loop decides whether it is one
    """`training.max_skipped_steps` updates in a row were skipped."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.reason, self.number = reason, number


class Accounting:
    """The window of metrics since the last report, and the count of skipped updates."""

    def __init__(
        self,
        config: ExperimentConfig,
        data: PreparedData,
        packed: PackedRows,
        order: RowOrder,
        workdir: StoredPath,
    ) -> None:
        self.window = Window()
        self.skipped_in_a_row = 0
        self._config, self._data = config, data
        self._packed, self._order = packed, order
        self._workdir = workdir

    def add(self, report: Mapping[str, float], step: int, batch: int) -> bool:
        """Adds the metrics of an update; returns whether it was applied.

        Args:
            step: of the update, if it was applied.
            batch: number of its batch, from 0.

        Raises:
            TooManySkipped: it is the last of too many.
        """
        if not report["skipped"]:
            self.skipped_in_a_row = 0
            self.window.add(report)
            return True
        self.skipped_in_a_row += 1
        self.window.num_skipped += 1
        reason = why_unsound(self._config, report)
        logger.warning("step %d: update skipped, %s", step, reason)
        if is_primary():
            self._write_pairs(report, reason, step, batch)
        if self.skipped_in_a_row >= self._config.training.max_skipped_steps:
            raise TooManySkipped(reason, self.skipped_in_a_row)
        return False

    def _write_pairs(
        self, report: Mapping[str, float], reason: str, step: int, batch: int
    ) -> None:
        """Writes what is known of a skipped update, with the pairs of its batch."""
        before = read_lines(self._workdir / SKIPPED_FILE)
        known = [line for line in before if line.get("batch") != batch]
        file = LinesFile(self._workdir / SKIPPED_FILE, map(to_json, known))
        if len(known) < _MOST_LINES:
            rows = self._order.rows_of(batch)
            line = {
                "step": step,
                "batch": batch,
                "reason": reason,
                "loss": report["loss"],
                "gradient_norm": report["gradient_norm"],
                "pairs": self._pairs_of(rows),
            }
            file.add(to_json(line))
        file.close()

    def _pairs_of(self, rows: np.ndarray) -> list[list[Any]]:
        """Returns [source, target] of every pair in these rows."""
        offsets, corpus = self._packed.offsets, self._data.train
        pairs = [
            int(pair)
            for row in rows
            for pair in self._packed.pairs[offsets[row] : offsets[row + 1]]
        ]
        tokenizer = self._data.tokenizer
        sources = tokenizer.decode_source([corpus.source[pair] for pair in pairs])
        targets = tokenizer.decode_target([corpus.target[pair] for pair in pairs])
        return [list(pair) for pair in zip(sources, targets, strict=True)]
