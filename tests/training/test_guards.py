"""Updates that make no sense are passed over, told of, and at last end the run."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from test_loop import PAIRS, assert_same_bits, files_in, run, steps_of

from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.data.pipeline import make_batches, pack_corpus
from transformer_jax.devices import sharding
from transformer_jax.training.ending import NonFiniteError
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.preparation import prepare
from transformer_jax.training.step import make_train_step

pytestmark = pytest.mark.slow

# Two pairs in 200 have a letter that no other has, and so has a batch in three or four.
# Without dropout, so that an update does not depend on how many batches were skipped
# before it.
RARE_PAIRS = [*PAIRS[:-2], ("xi", "ba"), ("be xi", "ba be")]
RARE = {"model__share_embeddings": "target", "model__dropout_rate": 0.0}


def rare_tokens(tokenizer) -> list[int]:
    *others, first, second = tokenizer.encode_source([pair[0] for pair in RARE_PAIRS])
    known = {token for sentence in others for token in sentence}
    return sorted({*first, *second} - known)


@pytest.fixture(scope="module")
def with_bad_rows(tmp_path_factory) -> Path:
    """A run of 2 steps whose checkpoint has no numbers for the rare letter."""
    workdir = tmp_path_factory.mktemp("bad_row")
    result = run(workdir, RARE_PAIRS, **RARE, training__num_steps=2)
    state, tokenizer = result.state, result.translator.tokenizer
    embedding = state.params["source_embedding"]["matrix"]
    matrix = np.array(embedding)
    matrix[rare_tokens(tokenizer)] = np.nan
    matrix = jax.device_put(matrix, embedding.sharding)
    params = state.params | {"source_embedding": {"matrix": matrix}}
    training = {
        "step": state.step,
        "batches": state.batches,
        "opt_state": state.opt_state,
    }
    shutil.rmtree(workdir / "checkpoints")
    checkpoints = Checkpoints(workdir, result.config.training)
    checkpoints.save(2, params, training, result.config, tokenizer)
    checkpoints.close()
    return workdir


def test_batches_that_give_no_finite_update_are_passed_over(with_bad_rows, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(with_bad_rows, workdir)
    first = run(workdir, RARE_PAIRS, **RARE, training__num_steps=8)
    assert first.state.batches > 8, "it must be continued after a batch was skipped"
    result = run(workdir, RARE_PAIRS, **RARE, training__num_steps=12)

    # The same by hand: every batch from the third on that does without the word.
    config, mesh = result.config, result.translator.mesh
    data = prepare(config, workdir, train_pairs=RARE_PAIRS)
    packed = pack_corpus(data.train, config.data, seed=0)
    batches = make_batches(data.train, packed, config.data, seed=0, start_step=2)
    bad_tokens = rare_tokens(data.tokenizer)
    step = make_train_step(config, mesh)
    straight = tmp_path / "straight"
    shutil.copytree(with_bad_rows, straight)
    state = run(straight, RARE_PAIRS, **RARE, training__num_steps=2).state
    losses, num_taken = [], 2
    while len(losses) < 10:
        batch = next(batches)
        num_taken += 1
        if not np.isin(batch.source, bad_tokens).any():
            state, report = step(state, sharding.make_global(batch, mesh))
            losses.append(float(report["loss"]))

    num_skipped = num_taken - 12
    assert num_skipped >= 2, "the test needs some"
    assert (result.state.step, result.state.batches) == (12, num_taken)
    assert_same_bits(result.state.params, state.params)
    assert_same_bits(result.state.opt_state, state.opt_state)
    lines = result.history[2:]
    assert steps_of(result.history) == list(range(1, 13))
    assert [line["loss"] for line in lines] == pytest.approx(losses, rel=1e-6)
    assert sum(line["skipped"] for line in lines) == num_skipped
    assert max(line["gradient_norm"] for line in lines) < 100
    assert min(line["fill"] for line in lines) > 0.5


def test_a_run_without_finite_updates_ends_and_keeps_its_checkpoint(
    with_bad_rows, tmp_path
):
    workdir = tmp_path / "copy"
    shutil.copytree(with_bad_rows, workdir)
    before = files_in(workdir / "checkpoints")
    with pytest.raises(NonFiniteError) as caught:
        run(workdir, RARE_PAIRS[-2:], **RARE, training__max_skipped_steps=3)
    message = str(caught.value)
    assert "3 updates in a row were skipped, the last at step 3: loss nan" in message
    assert "checkpoint 2 may hold the cause; there is none before it" in message
    assert "\n" not in message
    text = (workdir / "skipped.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == [3, 3, 3]
    assert [line["loss"] for line in lines] == [None] * 3, "JSON has no NaN"
    assert all(pair in [list(p) for p in RARE_PAIRS[-2:]] for pair in lines[0]["pairs"])
    assert files_in(workdir / "checkpoints") == before
    assert steps_of(read_metrics(workdir)) == [1, 2]
