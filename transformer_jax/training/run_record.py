"""What a checkpoint says of the run, beside parameters and optimizer state."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

from transformer_jax.checkpoints.errors import DamagedCheckpoint, first_line
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.checkpoints.validation_file import YARDSTICK
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.data.mixture import make_mixture
from transformer_jax.data.packing import PACKING, PackedRows
from transformer_jax.data.pipeline import RowOrder
from transformer_jax.training.patience import Plateau
from transformer_jax.training.window import Window
from transformer_jax.version import VERSION

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataPosition:
    """How far a run has come in its data, counted in packed rows, not in batches."""

    row: int
    """Rows of the endless sequence of epochs that were taken."""
    num_rows: int
    """Rows of an epoch."""
    seed: int
    source_length: int
    target_length: int
    training_text: str
    """Digest of the text."""
    packing: int = 1
    """Number of the method that put pairs into rows; the first was not recorded."""

    def first_row(self, batches: int, now: "DataPosition", rows_per_step: int) -> int:
        """Returns where update 0 begins for a run that continues here.

        With the same rows it goes on with the next one, whatever the size of a batch.
        Rows of other lengths, or in another order, keep the epoch. Another text begins
        from its start.

        Args:
            batches: those taken so far.
            now: position 0 of the data it continues with.
            rows_per_step: rows of a batch from now on.
        """
        if now.training_text != self.training_text:
            row = 0
        elif dataclasses.replace(now, row=self.row) == self:
            row = self.row
        else:
            row = round(self.row / self.num_rows * now.num_rows)
        return row - batches * rows_per_step


@dataclass(frozen=True)
class RunRecord:
    """The part of a checkpoint that the exact continuation of the run needs."""

    position: DataPosition | None = None
    window: Mapping[str, Any] | None = None
    """Sums since the last line of metrics, from `Window.to_dict`."""
    skipped_in_a_row: int = 0
    rollbacks: int = 0
    from_step: int | None = None
    """The step that the user has last asked to go back to."""
    initial_checkpoint: Mapping[str, Any] | None = None
    """What identifies the checkpoint that the run began with, if it did with one."""
    evaluation_due: bool = False
    """Whether this step is one of those that are evaluated, after it was saved."""
    plateau: Plateau = field(default_factory=Plateau)
    """Of the evaluations before this step."""
    mesh: Mapping[str, int] | None = None
    """Devices along each axis."""
    versions: Mapping[str, str] = field(
        default_factory=lambda: {
            "transformer_jax": VERSION,
            "jax": jax.__version__,
        }
    )

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return dataclasses.asdict(self)

    def after_evaluation(
        self, step: int, results: Mapping[str, Any], settings: TrainingConfig
    ) -> "RunRecord":
        """Returns the record once its step has these validation results, if any."""
        if not results:
            return self
        plateau = self.plateau.after(step, results, results.get(YARDSTICK), settings)
        return dataclasses.replace(self, evaluation_due=False, plateau=plateau)

    def why_over(self, step: int, settings: TrainingConfig) -> str | None:
        """Returns why a run ends at this step before its last, None where it does not.

        An evaluation that is due may still find a better result.
        """
        return None if self.evaluation_due else self.plateau.why_over(step, settings)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunRecord":
        """Returns the record of a checkpoint; what it lacks has its default.

        Entries that a later version has added are left out.

        Raises:
            DamagedCheckpoint: a value is not what it can be.
        """
        try:
            record = cls._read(values)
            record._check()
            return record
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise DamagedCheckpoint(
                f"the record of the run is damaged ({first_line(error)})."
            ) from None

    def _check(self) -> None:
        counts = [self.skipped_in_a_row, self.rollbacks]
        if self.position is not None:
            place = self.position
            counts += [place.row, place.num_rows - 1, place.seed]
            counts += [place.source_length, place.target_length, place.packing]
        if not all(isinstance(n, int) and n >= 0 for n in counts):
            raise ValueError("a count that is none")
        if not isinstance(self.initial_checkpoint, Mapping | None):
            raise ValueError("an initial checkpoint that is none")
        if not isinstance(self.mesh, Mapping | None):
            raise ValueError("a mesh that is none")
        if self.window:
            window = Window.from_dict(self.window)
            numbers = [window.started, window.num_steps, *window.sums.values()]
            if not all(isinstance(number, int | float) for number in numbers):
                raise ValueError("sums that are no numbers")

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> "RunRecord":
        names = {f.name for f in dataclasses.fields(cls)}
        known = {name: value for name, value in values.items() if name in names}
        if known.get("position") is not None:
            fields = {f.name for f in dataclasses.fields(DataPosition)}
            position = {k: v for k, v in known["position"].items() if k in fields}
            known["position"] = DataPosition(**position)
        if "plateau" in known:
            known["plateau"] = Plateau.from_dict(known["plateau"])
        return cls(**known)


def stored_record(
    checkpoints: StoredCheckpoints, step: int, settings: TrainingConfig
) -> RunRecord:
    """Returns the record of a checkpoint, after its evaluation if that was made.

    Raises:
        DamagedCheckpoint: it is damaged.
    """
    record = RunRecord.from_dict(checkpoints.run_record(step))
    return record.after_evaluation(step, checkpoints.validation(step), settings)


def position_at_start(
    config: ExperimentConfig, packed: PackedRows, training_text: str
) -> DataPosition:
    """Returns position 0 of a run in its packed data."""
    return DataPosition(
        row=0,
        num_rows=packed.num_rows,
        seed=config.training.seed,
        source_length=packed.source_length,
        target_length=packed.target_length,
        training_text=training_text,
        packing=PACKING,
    )


def order_of_rows(
    config: ExperimentConfig,
    packed: PackedRows,
    start: DataPosition,
    record: RunRecord,
    batches: int,
) -> RowOrder:
    """Returns the rows of each update of a run that continues from a checkpoint.

    A checkpoint of a version that noted no position has taken `batches` times as many
    rows as a batch has now. With other weights of several corpora, rows are from now on
    those that a run with these weights would have had from its start.
    """
    rows = config.data.rows
    if record.position is not None and record.position.packing != start.packing:
        logger.warning(
            "the checkpoint is of a version that put other pairs into a row: some "
            "pairs of this epoch come twice, and some not at all"
        )
    first_row = (
        0
        if record.position is None
        else record.position.first_row(batches, start, rows)
    )
    mixture = make_mixture(packed, config.data)
    return RowOrder(start.num_rows, rows, config.training.seed, first_row, mixture)
