"""A batch that grows keeps what every hypothesis has read, and when it was read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.history import History
from transformer_jax.decoding.search_state import Search, empty_state
from transformer_jax.model.cache import DecoderCache, KeyValue
from transformer_jax.translation.batch_sizes import BatchSizes, pack_state, resize_state

ROWS, BEAM, SLOTS, WIDTH, LENGTH = 3, 2, 5, 4, 9
SEARCH = Search(
    settings=DecodingConfig(beam_size=BEAM), eos_id=1, pad_id=0, num_results=BEAM
)


def written_state(slot):
    """A state whose next slot is `slot`; every place in its cache has its number."""
    numbers = np.arange(1, 1 + ROWS * SLOTS * BEAM, dtype=np.float32)
    numbers = jnp.asarray(numbers.reshape(ROWS, 1, 1, SLOTS * BEAM))
    other = jnp.zeros((ROWS, 1, 1, WIDTH))
    cache = DecoderCache(
        self_attention=(KeyValue(numbers, numbers.swapaxes(2, 3)),),
        cross_attention=(KeyValue(other, other.swapaxes(2, 3)),),
        source_segments=jnp.ones((ROWS, WIDTH), jnp.int32),
    )
    state = empty_state(
        (cache,), jnp.zeros((ROWS,), jnp.int32), jnp.full((ROWS,), LENGTH),
        SEARCH.settings, 0, slots=SLOTS, max_length=LENGTH,
    )  # fmt: skip
    rng = np.random.default_rng(slot)
    sees = rng.random((ROWS, BEAM, SLOTS * BEAM)) < 0.4
    used = jnp.full((ROWS,), SLOTS)
    history = History(jnp.full((ROWS,), slot, jnp.int32), used, jnp.asarray(sees))
    return state._replace(history=history)


def what_is_read(state, window=None):
    """The numbers that each hypothesis sees: those of the keys, those of the values."""
    mask = np.asarray(state.history.visible_places(window))
    (layer,) = state.cache[0].self_attention
    keys, values = np.asarray(layer.key)[:, 0, 0], np.asarray(layer.value)[:, 0, :, 0]
    return [
        [[sorted(row[seen].tolist()) for seen in mask[i]] for i, row in enumerate(part)]
        for part in (keys, values)
    ]


@pytest.mark.parametrize("slot", range(SLOTS))
def test_growing_keeps_what_is_read_and_its_age(slot):
    state = written_state(slot)
    sizes = BatchSizes(ROWS, WIDTH + 3, SLOTS + 4, LENGTH + 2, prefix=0)
    grow = jax.jit(lambda state: resize_state(state, jnp.arange(ROWS), sizes, SEARCH))
    grown = grow(state)
    assert grown.history.slots == SLOTS + 4
    assert grown.live.sequences.shape == (ROWS, BEAM, LENGTH + 2)
    for window in (None, SLOTS):
        assert what_is_read(grown, window) == what_is_read(state)
    # The smaller cache would now write over its oldest slot, which no window reaches.
    newer = state.history.sees.at[:, :, slot * BEAM : (slot + 1) * BEAM].set(False)
    newer = state._replace(history=state.history._replace(sees=newer))
    for window in (1, 2, SLOTS - 1):
        assert what_is_read(grown, window) == what_is_read(newer, window)
    # All new slots are written before it.
    written = (int(grown.history.slot[0]) + np.arange(4)) % (SLOTS + 4)
    seen = np.asarray(grown.history.sees).reshape(ROWS, BEAM, SLOTS + 4, BEAM)
    assert not seen[:, :, written].any()


@pytest.mark.parametrize("slot", range(SLOTS))
def test_packing_keeps_what_is_read_and_frees_the_slots_to_be_written(slot):
    state = written_state(slot)
    seldom = np.random.default_rng(slot).random((ROWS, 1, SLOTS * BEAM)) < 0.6
    sees = state.history.sees & jnp.asarray(seldom)
    state = state._replace(history=state.history._replace(sees=sees))
    packed = jax.jit(pack_state)(state)
    assert what_is_read(packed) == what_is_read(state)
    seen = np.asarray(packed.history.sees).any(axis=1).reshape(ROWS, SLOTS, BEAM)
    for row, used in enumerate(np.asarray(packed.history.used)):
        free = (slot + np.arange(SLOTS - used)) % SLOTS
        assert used < SLOTS
        assert not seen[row, free].any()


def test_fewer_rows_are_those_that_are_kept():
    state = written_state(2)
    sizes = BatchSizes(2, WIDTH, SLOTS, LENGTH, prefix=0)
    fewer = resize_state(state, jnp.array([2, 0]), sizes, SEARCH)
    for part, whole in zip(what_is_read(fewer), what_is_read(state), strict=True):
        assert part == [whole[2], whole[0]]
