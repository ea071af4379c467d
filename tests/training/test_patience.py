"""Early stopping: where a run ends, and that it counts as one that was not interrupted.

The validation text has only words that are in no training pair: the better a model
knows the training text, the higher is its loss there.
"""

import functools
import json
import math
import shutil
from pathlib import Path

import pytest
from continued_runs import run, without_times
from processes import answers
from test_loop import assert_same_bits, files_in, steps_of
from tiny_runs import shared_run

from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.cli import main
from transformer_jax.config.experiment import TrainingConfig
from transformer_jax.errors import InputError
from transformer_jax.training.patience import Plateau
from transformer_jax.training.run_record import RunRecord
from transformer_jax.training.train import TrainResult

UNKNOWN = [("xyz zyx", "xyz zyx"), ("yy xx", "zz yy xx")]
SETTINGS = {
    "validation": UNKNOWN,
    "num_steps": 12,
    "evaluate_every_steps": 2,
    "log_every_steps": 4,
    "optimizer__warmup_steps": 4,
}
ENOUGH = TrainingConfig(
    num_steps=100, evaluate_every_steps=10, patience_evaluations=3, best_metric="loss"
)


@functools.cache
def straight() -> tuple[Path, TrainResult]:
    """A run without patience, which tests only read."""
    return shared_run("impatient", functools.partial(run, **SETTINGS))


@functools.cache
def stopped() -> tuple[Path, TrainResult]:
    """The same run with a patience of 2 evaluations."""
    patience = {"patience_evaluations": 2, "keep_last": 2}
    return shared_run("patient", functools.partial(run, **SETTINGS | patience))


@pytest.fixture
def copied(tmp_path) -> Path:
    """The run that has stopped, to go on with."""
    return Path(shutil.copytree(stopped()[0], tmp_path / "copy"))


def go_on(workdir: Path, patience: int | None = 2, **changes) -> TrainResult:
    changes = {"patience_evaluations": patience, "keep_last": 2} | changes
    return run(workdir, **SETTINGS | changes)


def plateau_of(losses, settings=ENOUGH, yardstick="text", start=None) -> Plateau:
    """Returns the plateau after evaluations at steps 10, 20, ..."""
    plateau = start or Plateau()
    for loss in losses:
        step = plateau.last_step + settings.evaluate_every_steps
        plateau = plateau.after(step, {"loss": loss}, yardstick, settings)
    return plateau


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], 0),
        ([3.0], 0),
        ([3.0, 2.0, 1.0], 0),
        ([3.0, 4.0, 3.5], 2),
        ([3.0, 3.0], 1),
        ([3.0, 4.0, 2.0, 5.0], 1),
        ([3.0, math.nan], 1),
        ([math.nan, math.nan, 9.0], 0),
    ],
)
def test_evaluations_since_the_best_are_counted(losses, expected):
    assert plateau_of(losses).evaluations == expected


def test_higher_is_better_but_for_the_loss():
    """None takes BLEU where it is, as the best checkpoint does."""
    settings = TrainingConfig(evaluate_every_steps=10)
    plateau = Plateau()
    for step, (bleu, loss) in {10: (1.0, 3.0), 20: (2.0, 4.0), 30: (2.0, 2.0)}.items():
        results = {"bleu": bleu, "loss": loss}
        plateau = plateau.after(step, results, None, settings)
    assert (plateau.metric, plateau.best, plateau.best_step) == ("bleu", 2.0, 20)
    assert plateau.evaluations == 1


def test_what_cannot_be_compared_begins_the_count_anew():
    plateau = plateau_of([3.0, 4.0, 4.0])
    other = plateau_of([9.0, 9.5], yardstick="other text", start=plateau)
    assert (other.best, other.best_step, other.evaluations) == (9.0, 40, 1)
    settings = TrainingConfig(evaluate_every_steps=10, best_metric="chrf")
    chrf = plateau.after(40, {"loss": 5.0, "chrf": 1.0}, "text", settings)
    assert (chrf.metric, chrf.evaluations) == ("chrf", 0)


def test_an_evaluation_counts_once_and_only_if_a_longer_run_makes_it():
    plateau = plateau_of([3.0, 4.0])
    assert plateau.after(20, {"loss": 4.0}, "text", ENOUGH) == plateau
    assert plateau.after(25, {"loss": 1.0}, "text", ENOUGH) == plateau


def test_why_a_run_is_over():
    plateau = plateau_of([3.25, 4.0, 4.0, 4.0])
    assert plateau.why_over(40, ENOUGH) == (
        "loss has not improved on 3.25 of step 10 for 3 evaluations "
        "(training.patience_evaluations=3)"
    )
    # The last step is an end by itself.
    assert plateau.why_over(100, ENOUGH) is None
    assert plateau.why_over(40, TrainingConfig()) is None
    assert plateau_of([3.25, 4.0, 4.0]).why_over(30, ENOUGH) is None
    nothing = plateau_of([math.nan] * 3).why_over(30, ENOUGH)
    assert nothing.startswith("loss has had no value for 3 evaluations")


def test_the_record_of_a_checkpoint_holds_the_plateau():
    record = RunRecord(plateau=plateau_of([3.25, 4.0]), evaluation_due=True)
    stored = json.loads(json.dumps(record.to_dict()))
    assert RunRecord.from_dict(stored) == record
    del stored["plateau"]  # As versions before have written it.
    assert RunRecord.from_dict(stored).plateau == Plateau()
    for damage in ({"evaluations": "many"}, {"best": "3.25"}, 3):
        with pytest.raises(DamagedCheckpoint):
            RunRecord.from_dict({**stored, "plateau": damage})


def test_an_evaluation_that_is_due_may_still_be_better():
    record = RunRecord(plateau=plateau_of([3.0, 4.0, 4.0, 4.0]), evaluation_due=True)
    assert record.why_over(50, ENOUGH) is None
    made = record.after_evaluation(50, {"loss": 4.0, "yardstick": "text"}, ENOUGH)
    assert made.why_over(50, ENOUGH) is not None
    better = record.after_evaluation(50, {"loss": 2.0, "yardstick": "text"}, ENOUGH)
    assert better.why_over(50, ENOUGH) is None


@pytest.mark.slow
def test_a_run_stops_where_validation_no_longer_improves():
    workdir, result = stopped()
    lines = [line for line in straight()[1].history if line["kind"] == "validation"]
    losses = [line["loss"] for line in lines]
    assert min(losses) == losses[0], "this test needs a loss that rises"
    assert int(result.state.step) == 6
    assert result.stopped_early.startswith("loss has not improved on ")
    assert "of step 2 for 2 evaluations" in result.stopped_early
    stored = StoredCheckpoints(workdir)
    assert stored.steps == [2, 5, 6]
    assert checkpoint_dir(workdir, "best").name == "2"
    assert straight()[1].stopped_early is None


@pytest.mark.slow
def test_a_stopped_run_says_so_and_is_left_alone(copied, caplog, capsys):
    before = files_in(copied)
    result = go_on(copied)
    assert "has stopped early at step 6: loss has not improved on " in caplog.text
    assert "training.patience_evaluations is larger or none" in caplog.text
    assert files_in(copied) == before
    assert result.stopped_early == stopped()[1].stopped_early
    assert_same_bits(result.state, stopped()[1].state)
    # More steps alone ask for no more patience.
    assert int(go_on(copied, num_steps=20).state.step) == 6
    assert files_in(copied) == before
    assert main(["info", str(copied)]) == 0
    told = json.loads(capsys.readouterr().out)["stopped_early"]
    assert told == result.stopped_early


@pytest.mark.slow
def test_with_more_patience_it_goes_on_to_the_bit(copied, capsys):
    longer = go_on(copied, 4)
    assert int(longer.state.step) == 10
    assert "of step 2 for 4 evaluations" in longer.stopped_early
    endless = go_on(copied, None)
    assert endless.stopped_early is None
    assert_same_bits(endless.state, straight()[1].state)
    assert without_times(endless.history) == without_times(straight()[1].history)
    assert main(["info", str(copied)]) == 0
    assert json.loads(capsys.readouterr().out)["stopped_early"] is None


def remove_evaluation(workdir: Path) -> None:
    """As a kill during the last evaluation leaves it."""
    shutil.rmtree(workdir / "checkpoints" / "6" / "metrics")


def remove_step(workdir: Path) -> None:
    """As a kill in the middle of update 6 leaves it."""
    shutil.rmtree(workdir / "checkpoints" / "6")


def remove_all_but_one(workdir: Path) -> None:
    """As one that has copied a checkpoint alone."""
    for path in [*workdir.iterdir(), *(workdir / "checkpoints").iterdir()]:
        if path.name not in ("checkpoints", "5"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "interrupt",
    [
        remove_evaluation,
        pytest.param(remove_step, marks=pytest.mark.slow),
        pytest.param(remove_all_but_one, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_stops_at_the_same_evaluation(interrupt, copied):
    interrupt(copied)
    result = go_on(copied)
    assert int(result.state.step) == 6
    assert result.stopped_early == stopped()[1].stopped_early
    assert_same_bits(result.state, stopped()[1].state)
    assert 6 in steps_of(result.history, "validation")


@pytest.mark.slow
def test_going_back_takes_the_count_back(copied):
    """From step 2, the best, both evaluations are made again."""
    result = run(copied, from_step=2, **SETTINGS, patience_evaluations=2)
    assert int(result.state.step) == 6
    assert_same_bits(result.state, stopped()[1].state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience_evaluations": 0}, r"patience_evaluations=0 must be at least 1"),
        (
            {"patience_evaluations": 2, "num_steps": 5, "evaluate_every_steps": 5},
            r"evaluate_every_steps=5 must be below training\.num_steps=5",
        ),
    ],
)
def test_a_patience_that_cannot_work_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TrainingConfig(**settings)


def test_patience_needs_a_validation_text(tmp_path):
    with pytest.raises(InputError, match="patience_evaluations=2 needs a validation"):
        go_on(tmp_path / "run", validation=None)
    assert not (tmp_path / "run").exists()


HOSTS = """
from continued_runs import run
from test_patience import SETTINGS
workdir, told = sys.argv[5], []
for patience in (2, 2, 3):
    result = run(workdir, **SETTINGS, patience_evaluations=patience)
    told.append([int(result.state.step), result.stopped_early])
answer(told)
"""


@pytest.mark.long
def test_hosts_stop_together(tmp_path):
    first, second = answers(HOSTS, tmp_path, num_processes=2, num_devices=1)
    assert first == second
    assert [step for step, _ in first] == [6, 6, 8]
