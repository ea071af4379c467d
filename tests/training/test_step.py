"""One update is the same on any rows and devices, and undone if it is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import VOCAB_SIZE, tiny_config

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.data.batch import Batch, make_batch
from transformer_jax.data.corpus import make_corpus
from transformer_jax.data.packing import one_pair_a_row, pack_pairs
from transformer_jax.devices import sharding
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.loss.batch_loss import batch_loss
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.training.one_shape import RecompilationError
from transformer_jax.training.state import abstract_state, init_state
from transformer_jax.training.step import make_train_step

PAD, BOS, EOS = 0, 1, 2
# Embeddings are apart, so that one row of the source's is used by few batches.
# A large epsilon, as Adam makes rounding errors of small gradients into large updates.
SETTINGS = {"model__share_embeddings": "none", "optimizer__epsilon": 1e-3}
CONFIG = tiny_config(**SETTINGS)


def pairs_of_ids(
    number: int, seed: int = 0, longest: int = 10, first: int = 4
) -> tuple:
    rng = np.random.default_rng(seed)

    def sentences():
        for length in rng.integers(1, longest, number):
            yield [*rng.integers(first, VOCAB_SIZE, length).tolist(), EOS]

    return list(sentences()), list(sentences())


def unpacked(sources, targets, rows: int = 16, length: int = 12) -> Batch:
    corpus = make_corpus(sources, targets, bos_id=BOS, pad_id=PAD)
    packed = one_pair_a_row(corpus.num_pairs, length, length)
    return make_batch(corpus, packed, np.arange(corpus.num_pairs), num_rows=rows)


def batch_of(seed: int, **settings) -> Batch:
    return unpacked(*pairs_of_ids(16, seed, **settings))


def mesh_of(data: int, tensor: int = 1):
    devices = jax.devices()[: data * tensor]
    return make_mesh(MeshConfig(data=data, tensor=tensor), devices)


MESH = mesh_of(8)


@pytest.fixture(scope="module")
def first_state(random_params):
    """The state before the first update, on the host."""
    shapes = abstract_state(CONFIG, MESH)
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    return state.replace(params=random_params(CONFIG.model))


def placed(state, mesh=MESH, config=CONFIG):
    """New arrays, which a step may consume."""
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))
    return jax.device_put(jax.tree.map(np.array, state), shardings)


@pytest.fixture(scope="module")
def train_step():
    return make_train_step(CONFIG, MESH)


def updates(step, state, batches, mesh=MESH, config=CONFIG) -> tuple:
    state, losses = placed(state, mesh, config), []
    for batch in batches:
        state, report = step(state, sharding.make_global(batch, mesh))
        losses.append(float(report["loss"]))
    return jax.device_get(state), losses


def assert_close(first, second, **tolerances) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerances), first, second
    )


def test_packed_and_unpacked_rows_have_the_same_loss_and_gradient(first_state):
    sources, targets = pairs_of_ids(16)
    corpus = make_corpus(sources, targets, bos_id=BOS, pad_id=PAD)
    packing = pack_pairs(corpus.source_lengths, corpus.target_lengths, 30, 30)
    packed = make_batch(corpus, packing, np.arange(packing.num_rows), num_rows=16)
    assert packing.num_rows < 8
    assert packed.target_segments.max() > 2, "several pairs must share a row"

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradient(params, batch):
        return batch_loss(CONFIG, params, batch, None, slice_tokens=64).loss

    one, other = (
        jax.device_get(loss_and_gradient(first_state.params, batch))
        for batch in (unpacked(sources, targets, length=30), packed)
    )
    assert_close(one, other, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
def test_updates_depend_neither_on_devices_nor_on_recomputation(
    train_step, first_state
):
    batches = [batch_of(seed) for seed in range(4)]
    state, losses = updates(train_step, first_state, batches)
    mesh = mesh_of(data=4, tensor=2)
    other = tiny_config(**SETTINGS, model__remat="layer")
    other_step = make_train_step(other, mesh)
    other_state, other_losses = updates(other_step, first_state, batches, mesh)
    np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
    assert_close(state, other_state, rtol=1e-4, atol=1e-6)
    moved = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), state.params, first_state.params
    )
    assert min(jax.tree.leaves(moved)) > 1e-4, "every parameter must have moved"


@pytest.mark.long
def test_biases_are_trained_alike_on_any_devices(random_params):
    """As of an imported model: they lie along `tensor` where their matrices do."""
    settings = {**SETTINGS, "model__attention_bias": True, "model__output_bias": True}
    config = tiny_config(**settings)
    first = jax.device_get(init_state(config, MESH, params=random_params(config.model)))
    batches = [batch_of(seed) for seed in range(2)]
    results = []
    for mesh in (mesh_of(data=1), mesh_of(data=2, tensor=2)):
        step = make_train_step(config, mesh)
        results.append(updates(step, first, batches, mesh, config))
    (state, losses), (other_state, other_losses) = results
    np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
    assert_close(state, other_state, rtol=1e-4, atol=1e-6)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), state.params, first.params)
    for path, distance in jax.tree_util.tree_leaves_with_path(moved):
        # A bias of the keys adds the same to all scores of a query: no gradient.
        is_still = [each.key for each in path[-2:]] == ["key", "bias"]
        assert distance < 1e-6 if is_still else distance > 1e-4, path


@pytest.mark.slow
def test_parts_of_a_batch_taken_in_turn_make_the_same_update(first_state):
    """The rows have different numbers of tokens, and each token weighs alike."""
    settings = {**SETTINGS, "model__dropout_rate": 0.0}
    batches = [batch_of(seed) for seed in range(3)]
    results = []
    for steps, mesh in ((1, MESH), (2, mesh_of(data=4))):
        config = tiny_config(**settings, training__accumulation_steps=steps)
        step = make_train_step(config, mesh)
        results.append(updates(step, first_state, batches, mesh))
    (state, losses), (other_state, other_losses) = results
    np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
    assert_close(state, other_state, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_loss_falls_when_one_batch_is_repeated(train_step, first_state):
    _, losses = updates(train_step, first_state, [batch_of(0)] * 30)
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_dropout_belongs_to_the_place_in_the_data(train_step, first_state):
    batch = sharding.make_global(batch_of(0), MESH)

    def loss_of(batches: int) -> float:
        state = placed(first_state.replace(batches=np.int32(batches)))
        return float(train_step(state, batch)[1]["loss"])

    assert loss_of(3) == loss_of(3)
    assert len({loss_of(number) for number in range(4)}) == 4


def test_evaluation_has_no_dropout(first_state):
    batch = sharding.make_global(batch_of(0), MESH)
    params = placed(first_state).params
    configs = [tiny_config(**SETTINGS, model__dropout_rate=rate) for rate in (0.0, 0.5)]
    sums = [make_evaluation_step(config, MESH)(params, batch) for config in configs]
    assert sums[0]["loss"] == sums[1]["loss"]


def test_report_has_the_counts_the_norm_and_the_papers_learning_rate(
    train_step, first_state
):
    batch = batch_of(0)
    state = placed(first_state.replace(step=np.int32(6)))
    _, report = train_step(state, sharding.make_global(batch, MESH))
    assert report["target_tokens"] == (batch.target_segments > 0).sum()
    assert report["source_slots"] == batch.source.size
    # Equation (3) at the seventh update, times learning_rate_scale.
    expected = 0.5 * 32**-0.5 * min(7**-0.5, 7 * 40**-1.5)
    assert report["learning_rate"] == pytest.approx(expected, rel=1e-6)
    assert report["skipped"] == 0
    assert 0.0 < report["gradient_norm"] < 100.0


def test_an_update_that_is_not_finite_leaves_everything_but_the_place(
    train_step, first_state
):
    bad_token = 4
    state = first_state
    params = jax.tree.map(np.array, state.params)
    params["source_embedding"]["matrix"][bad_token] = np.nan
    state = state.replace(params=params)
    good, bad = batch_of(1, first=5), batch_of(2, first=5)
    bad.source[0, 0] = bad_token

    after_good, report = train_step(placed(state), sharding.make_global(good, MESH))
    assert (after_good.step, after_good.batches, report["skipped"]) == (1, 1, 0)
    before = jax.device_get(after_good)
    after_bad, report = train_step(after_good, sharding.make_global(bad, MESH))
    assert (after_bad.step, after_bad.batches, report["skipped"]) == (1, 2, 1)
    assert not np.isfinite(report["loss"])
    jax.tree.map(
        np.testing.assert_array_equal,
        (before.params, before.opt_state),
        jax.device_get((after_bad.params, after_bad.opt_state)),
    )
    after_good, report = train_step(after_bad, sharding.make_global(good, MESH))
    assert (after_good.step, after_good.batches, report["skipped"]) == (2, 3, 0)


def test_state_is_consumed_and_nothing_crosses_to_the_host(train_step, first_state):
    state = placed(first_state)
    batch = sharding.make_global(batch_of(0), MESH)
    with jax.transfer_guard("disallow"):
        after, _ = train_step(state, batch)
        jax.block_until_ready(train_step(after, batch))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state, after)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(batch))


def test_another_shape_is_an_error_that_says_what_changed():
    step = make_train_step(CONFIG, MESH)
    state = abstract_state(CONFIG, MESH)

    def of_shape(rows, length):
        rows_sharding = sharding.batch_sharding(MESH)
        leaf = jax.ShapeDtypeStruct((rows, length), jnp.int32, sharding=rows_sharding)
        return Batch(*[leaf] * 7)

    step.lower(state, of_shape(16, 12))
    step.lower(state, of_shape(16, 12))
    with pytest.raises(RecompilationError) as caught:
        step.lower(state, of_shape(16, 14))
    message = str(caught.value)
    assert "batch.source int32[16, 12] -> int32[16, 14]" in message
    assert "state" not in message
    assert "\n" not in message
    step.lower(state, of_shape(16, 12))


def test_what_was_lowered_may_be_called(train_step, first_state):
    state, batch = placed(first_state), sharding.make_global(batch_of(0), MESH)
    loss = train_step.lower(state, batch).compile()(state, batch)[1]["loss"]
    assert loss == train_step(placed(first_state), batch)[1]["loss"]
    wider = batch._replace(source=jnp.zeros((16, 13), jnp.int32))
    with pytest.raises(RecompilationError, match=r"batch\.source int32\[16, 12\] ->"):
        train_step(placed(first_state), wider)


def test_a_step_that_was_stored_is_the_same(train_step, first_state):
    batch = sharding.make_global(batch_of(0), MESH)
    expected = train_step(placed(first_state), batch)
    stored, counter = make_train_step(CONFIG, MESH), CompileCounter()
    state = placed(first_state)
    counter.count = 0
    found = stored(state, batch)
    assert counter.count == 0
    counter.close()
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    wider = batch._replace(source=jnp.zeros((16, 13), jnp.int32))
    with pytest.raises(RecompilationError, match=r"batch\.source int32\[16, 12\] ->"):
        stored(placed(first_state), wider)
