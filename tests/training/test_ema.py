"""The running average of the parameters, and what a checkpoint holds with it."""

import shutil

import jax
import numpy as np
import pytest
from test_step import batch_of
from tiny_runs import one_layer_config, reversed_pairs, trained_run

from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import load_params
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.evaluation.corpus_loss import mean_loss, split_batches
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.training.preparation import prepare
from transformer_jax.training.restoring import starting_state
from transformer_jax.training.running_average import update_average
from transformer_jax.training.state import abstract_state, checkpoint_items, init_state
from transformer_jax.training.step import make_train_step
from transformer_jax.training.train import TrainResult, train

DECAY = 0.3
PAIRS = reversed_pairs(200)
BAD_TOKEN = 4


def config_of(decay, **changes):
    return one_layer_config(
        **{
            "model__share_embeddings": "none",
            "training__ema_decay": decay,
            "data__prefetch_batches": 1,
            **changes,
        }
    )


def assert_same_bits(first, second) -> None:
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get((first, second)))


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig(fsdp=2), jax.devices()[:2])


@pytest.fixture(scope="module")
def step(mesh):
    return make_train_step(config_of(DECAY), mesh)


def with_bad_row(params):
    """Without numbers for a token that one batch has, whose update is skipped."""
    matrix = params["source_embedding"]["matrix"].at[BAD_TOKEN].set(np.nan)
    return {**params, "source_embedding": {"matrix": matrix}}


def batch(number: int):
    found = batch_of(number, first=5)
    if number == 4:
        found.source[0, 0] = BAD_TOKEN
    return found


@pytest.fixture(scope="module")
def states(mesh, step) -> dict:
    """States before and after 7 updates, with an average and without; one skipped."""
    found: dict = {}
    for decay in (DECAY, None):
        config = config_of(decay)
        state = init_state(config, mesh)
        update = step if decay is not None else make_train_step(config, mesh)
        state = state.replace(params=with_bad_row(state.params))
        if decay is not None:
            averaged = with_bad_row(state.averaged_params)
            state = state.replace(averaged_params=averaged)
        found[decay] = [jax.device_get(state)]
        for number in range(8):
            state, report = update(state, sharding.make_global(batch(number), mesh))
            assert report["skipped"] == (number == 4)
            found[decay].append(jax.device_get(state))
    return found


@pytest.mark.slow
def test_the_average_is_that_of_a_reference(states):
    """Decays 2/11, 3/12, and then what was asked for, as 4/13 is more."""
    expected = None
    for before, state in zip([None, *states[DECAY]], states[DECAY], strict=False):
        params = jax.tree.map(np.float64, state.params)
        if before is None:
            expected = params
        elif state.step > before.step:
            decay = min(DECAY, (1 + state.step) / (10 + state.step))
            expected = jax.tree.map(
                lambda a, p, d=decay: d * a + (1 - d) * p, expected, params
            )
        else:
            assert_same_bits(state.averaged_params, before.averaged_params)
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-7),
            state.averaged_params,
            expected,
        )
    assert states[DECAY][-1].step == 7


@pytest.mark.optimised  # otherwise two programs differ in rounding
def test_training_goes_on_as_without_an_average(states):
    for state, plain in zip(states[DECAY], states[None], strict=True):
        assert plain.averaged_params is None
        assert_same_bits(state.replace(averaged_params=None), plain)


def test_rounding_does_not_add_up():
    """Over many updates with a decay near 1, where all of them could go one way."""
    decay, rng = 0.9998, np.random.default_rng(0)
    values = 3 + 0.1 * rng.standard_normal((6_000, 200)).astype(np.float32)

    @jax.jit
    def average_of(values):
        def update(average, value):
            return update_average(average, value, np.int32(10**6), decay), None

        return jax.lax.scan(update, values[0], values)[0]

    expected = values[0].astype(np.float64)
    for value in values.astype(np.float64):
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(average_of(values), expected, rtol=2e-5)


def test_the_decay_may_be_very_near_to_1():
    average = update_average(np.zeros(1), np.ones(1), np.int32(10**8), 0.99999)
    np.testing.assert_allclose(average, 1e-5, rtol=1e-6)


def test_the_average_is_spread_as_the_parameters_and_costs_nothing_when_off(mesh):
    on, off = (abstract_state(config_of(decay), mesh) for decay in (DECAY, None))
    assert on.averaged_params == on.params
    parts = {leaf.sharding.spec for leaf in jax.tree.leaves(on.averaged_params)}
    assert len(parts) > 1, "some must be spread"
    assert on.replace(averaged_params=None) == off
    assert jax.tree.leaves(off.averaged_params) == []


def continued(workdir, mesh, before, decay):
    """Returns the state of a run that goes on from a state, with another decay."""
    was = None if before.averaged_params is None else DECAY
    config = config_of(was)
    layout = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))
    with Checkpoints(workdir, config.training) as checkpoints:
        checkpoints.save(
            int(before.step),
            *checkpoint_items(jax.device_put(before, layout)),
            config,
            trained_run().result.translator.tokenizer,
        )
    with Checkpoints(workdir) as checkpoints:
        step = int(before.step)
        return starting_state(config_of(decay), mesh, checkpoints, step)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [DECAY, None])
def test_a_run_goes_on_with_the_state_it_had(decay, states, mesh, step, tmp_path):
    state = continued(tmp_path, mesh, states[decay][2], decay)
    assert_same_bits(state, states[decay][2])
    layout = jax.tree.map(lambda x: x.sharding, abstract_state(config_of(decay), mesh))
    assert jax.tree.map(lambda x: x.sharding, state) == layout
    if decay is not None:
        for number in (2, 3):
            state, _ = step(state, sharding.make_global(batch(number), mesh))
        assert_same_bits(state, states[decay][4])


@pytest.mark.optimised  # otherwise two programs differ in rounding
def test_an_average_may_begin_later(states, mesh, step, tmp_path):
    before = states[None][2]
    state = continued(tmp_path, mesh, before, DECAY)
    assert_same_bits(state, before.replace(averaged_params=before.params))
    state, _ = step(state, sharding.make_global(batch(2), mesh))
    expected = update_average(before.params, states[None][3].params, 2, DECAY)
    assert_same_bits(state.params, states[None][3].params)
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-7),
        state.averaged_params,
        expected,
    )


@pytest.mark.optimised  # otherwise two programs differ in rounding
def test_an_average_may_end_earlier(states, mesh, tmp_path):
    state = continued(tmp_path, mesh, states[DECAY][2], None)
    assert_same_bits(state, states[None][2])


def run(workdir, num_steps: int) -> TrainResult:
    return train(
        config_of(DECAY, training__num_steps=num_steps),
        workdir,
        train_pairs=PAIRS,
        validation_pairs=PAIRS[:20],
        progress=False,
    )


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("two")
    return workdir, run(workdir, 2)


@pytest.mark.slow
def test_the_average_is_what_is_stored_validated_and_translated_with(two_steps):
    workdir, result = two_steps
    averaged = result.state.averaged_params
    assert_same_bits(load_params(checkpoint_dir(workdir)), averaged)
    assert_same_bits(result.translator.params, averaged)
    config, mesh = result.config, result.translator.mesh
    data = prepare(config, workdir, train_pairs=PAIRS, validation_pairs=PAIRS[:20])
    evaluation_step = make_evaluation_step(config, mesh)

    def loss_of(params) -> float:
        batches = split_batches(data.validation, config, mesh, data.tokenizer)
        return mean_loss(evaluation_step, params, batches, mesh)["loss"]

    (line,) = (line for line in result.history if line["kind"] == "validation")
    assert line["loss"] == pytest.approx(loss_of(averaged), rel=1e-6)
    assert abs(loss_of(result.state.params) - line["loss"]) > 1e-4, "they must differ"


@pytest.mark.slow
def test_two_steps_and_two_more_are_four_to_the_bit(two_steps, tmp_path):
    """By the loop itself; the rest of it is tested without an average."""
    shutil.copytree(two_steps[0], tmp_path / "two")
    found = run(tmp_path / "two", 4).state
    assert_same_bits(found, run(tmp_path / "four", 4).state)
    moved = jax.tree.map(
        lambda a, p: np.abs(a - p).max(), found.averaged_params, found.params
    )
    assert min(jax.tree.leaves(moved)) > 0, "they must not be the same"
