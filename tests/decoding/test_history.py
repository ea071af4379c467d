"""Which places of the cache a hypothesis sees, against lists of its ancestors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.decoding.history import (
    add_own_place,
    advance_history,
    empty_history,
    gather,
    pack_places,
)
from transformer_jax.model.masks import AttentionPattern

BATCH, BEAM, SLOTS, STEPS = 3, 4, 6, 40


@jax.jit
def run_step(history, begins):
    """One step, of which the rows where it begins have seen nothing yet."""
    return add_own_place(
        history._replace(
            sees=history.sees & ~begins[:, None, None],
            used=jnp.where(begins, 0, history.used),
        )
    )


@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_hypothesis_sees_its_ancestors_and_itself(window):
    # Sentences begin and end all the time, in a ring that goes round several times.
    rng = np.random.default_rng(0)
    history = empty_history(BATCH, BEAM, SLOTS)
    lines = [[[] for _ in range(BEAM)] for _ in range(BATCH)]
    for step in range(STEPS):
        lengths = np.array([len(lines[row][0]) for row in range(BATCH)])
        begins = (lengths == SLOTS) | (rng.random(BATCH) < 0.1)
        history = run_step(history, jnp.asarray(begins))
        expected = np.zeros((BATCH, BEAM, SLOTS, BEAM), bool)
        for row in range(BATCH):
            for place in range(BEAM):
                line = [] if begins[row] else lines[row][place]
                line = [*line, (step, place)]
                lines[row][place] = line
                for when, where in line:
                    if window is None or step - when <= window:
                        expected[row, place, when % SLOTS, where] = True
        found = history.visible_places(window)
        np.testing.assert_array_equal(found, expected.reshape(BATCH, BEAM, -1))
        assert (history.slot == step % SLOTS).all()
        used = [len(lines[row][0]) - 1 for row in range(BATCH)]
        assert history.used.tolist() == used

        parents = rng.integers(0, BEAM, (BATCH, BEAM))
        history = advance_history(history, jnp.asarray(parents))
        lines = [
            [lines[row][parent] for parent in parents[row]] for row in range(BATCH)
        ]
    assert max(len(line) for row in lines for line in row) >= SLOTS - 1


@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_hypothesis_alone_sees_a_row_of_the_causal_mask(window):
    segments = jnp.ones((1, SLOTS), jnp.int32)
    whole = AttentionPattern(segments, segments, True, window).mask()
    history = empty_history(1, 1, SLOTS)
    for position in range(SLOTS):
        history = add_own_place(history)
        np.testing.assert_array_equal(
            history.visible_places(window)[0, 0], whole[0, position]
        )
        history = advance_history(history, jnp.zeros((1, 1), jnp.int32))


def test_packed_places_keep_what_is_read_and_free_the_other_slots():
    # Against lists of what each hypothesis has read, in a cache of numbers. The best
    # hypotheses continue more often than others, as in a search.
    rng = np.random.default_rng(0)
    history = empty_history(BATCH, BEAM, SLOTS)
    cache = np.zeros((BATCH, SLOTS * BEAM), int)
    lines = [[[] for _ in range(BEAM)] for _ in range(BATCH)]
    pack, next_number, num_packed, longest = jax.jit(pack_places), 1, 0, 0
    for _ in range(STEPS * 5):
        used = np.asarray(history.used)
        begins = (used >= SLOTS) | (rng.random(BATCH) < 0.02)
        history = run_step(history, jnp.asarray(begins))
        for row in range(BATCH):
            for place in range(BEAM):
                line = [] if begins[row] else lines[row][place]
                lines[row][place] = [*line, next_number]
                cache[row, int(history.slot[0]) * BEAM + place] = next_number
                next_number += 1
        seen = np.asarray(history.visible_places())
        for row in range(BATCH):
            for place in range(BEAM):
                assert sorted(cache[row][seen[row, place]]) == lines[row][place]
        longest = max(longest, len(lines[0][0]))
        parents = np.minimum(rng.geometric(0.6, (BATCH, BEAM)) - 1, BEAM - 1)
        history = advance_history(history, jnp.asarray(parents))
        lines = [
            [lines[row][parent] for parent in parents[row]] for row in range(BATCH)
        ]
        if (np.asarray(history.used) >= SLOTS).any():
            packed, moved = pack(history)
            assert (np.sort(moved, axis=1) == np.arange(SLOTS * BEAM)).all()
            cache = np.take_along_axis(cache, np.asarray(moved), axis=1)
            different = [len({n for line in row for n in line}) for row in lines]
            assert packed.used.tolist() == [-(-n // BEAM) for n in different]
            assert (packed.used <= history.used).all()
            history = packed
            num_packed += 1
    assert num_packed > 10
    assert longest > 2 * SLOTS


def test_gather_takes_hypotheses_of_each_sentence_from_every_leaf():
    rng = np.random.default_rng(0)
    tree = {"a": rng.normal(size=(BATCH, BEAM)), "b": rng.normal(size=(BATCH, BEAM, 2))}
    index = rng.integers(0, BEAM, (BATCH, 7))
    found = gather(jax.tree.map(jnp.float32, tree), jnp.asarray(index))
    for name, leaf in tree.items():
        expected = np.stack([leaf[row][index[row]] for row in range(BATCH)])
        np.testing.assert_array_equal(found[name], np.float32(expected))
