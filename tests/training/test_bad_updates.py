"""What is wrong with updates, results or disks ends a run, and good states are kept."""

import json
import shutil
from pathlib import Path

import pytest
from continued_runs import VALIDATION, eight_steps, lines_of, run
from test_loop import assert_same_bits

from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.errors import InputError
from transformer_jax.training.ending import NonFiniteError


@pytest.fixture
def copied(tmp_path) -> Path:
    """A run of 8 updates, to go on with."""
    return Path(shutil.copytree(eight_steps()[0], tmp_path / "copy"))


@pytest.mark.long
def test_a_rate_far_too_high_ends_the_run_and_leaves_good_checkpoints(copied):
    """The loss stays finite; what it is says that nothing was learnt."""
    with pytest.raises(NonFiniteError) as caught:
        run(copied, num_steps=100, optimizer__learning_rate_scale=1e6)
    message = str(caught.value)
    assert "10 updates in a row were skipped, the last at step 10: loss " in message
    assert "4 times that of a guess (training.max_loss_ratio)" in message
    assert (
        "checkpoint 9 may hold the cause; continue from checkpoint 8 with " in message
    )
    assert "--from-step 8" in message
    assert StoredCheckpoints(copied).steps == list(range(1, 10))
    text = (copied / "metrics.jsonl").read_text()
    assert "NaN" not in text
    # The advice works.
    result = run(copied, from_step=8, num_steps=10)
    assert int(result.state.step) == 10
    straight = run(copied.parent / "straight", num_steps=10)
    assert_same_bits(result.state, straight.state)


@pytest.mark.slow
def test_a_run_rolls_back_and_passes_the_rows_it_cannot_learn_from(copied):
    """Rolled back twice; then the rate is so high that it ends all the same."""
    with pytest.raises(NonFiniteError):
        run(
            copied,
            num_steps=100,
            optimizer__learning_rate_scale=1e6,
            max_rollbacks=2,
            max_skipped_steps=2,
        )
    batches = {json.loads(line)["batch"] for line in lines_of(copied / "skipped.jsonl")}
    assert batches == {9, 10, 12, 13, 15, 16}
    kept = {path.name for path in (copied / "set_aside").iterdir()}
    assert kept == {"9", "9-2", "metrics.jsonl"}


@pytest.mark.slow
def test_a_validation_loss_that_is_no_number_is_no_success(copied, monkeypatch):
    from transformer_jax.training import validation

    monkeypatch.setattr(
        validation, "mean_metrics", lambda *_, **__: {"loss": float("nan")}
    )
    with pytest.raises(NonFiniteError, match="validation loss is nan at step 9"):
        run(copied, validation=VALIDATION, num_steps=9)


@pytest.mark.slow
def test_a_save_that_fails_ends_the_run_or_not_as_set(copied, monkeypatch, caplog):
    from transformer_jax.checkpoints import checksums

    written = checksums.write_checksums

    def full(item) -> None:
        if "/12." not in str(item):
            raise OSError(28, "No space left on device")
        written(item)

    monkeypatch.setattr(checksums, "write_checksums", full)
    with pytest.raises(InputError, match=r"step 9 cannot .*No space left.*step 8 is"):
        run(copied, num_steps=12)
    assert StoredCheckpoints(copied).steps == list(range(1, 9))
    assert not list((copied / "checkpoints").glob("*tmp*"))
    # Without its last checkpoint a run is not complete.
    with pytest.raises(InputError, match="trained to step 11, but its checkpoint"):
        run(copied, num_steps=11, if_save_fails="continue")
    result = run(copied, num_steps=12, if_save_fails="continue")
    assert "Going on (training.if_save_fails)" in caplog.text
    assert StoredCheckpoints(copied).steps == [*range(1, 9), 12]
    monkeypatch.undo()
    straight = run(copied.parent / "straight", num_steps=12)
    assert_same_bits(result.state, straight.state)
