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
)
from transformer_jax.model.masks import AttentionPattern

BATCH, BEAM, SLOTS, STEPS = 3, 4, 6, 40


@jax.jit
def run_step(history, begins):
    """One step, of which the rows where it begins have seen nothing yet."""
    ancestors = jnp.where(begins[:, None, None], -1, history.ancestors)
    return add_own_place(history._replace(ancestors=ancestors))


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


def test_gather_takes_hypotheses_of_each_sentence_from_every_leaf():
    rng = np.random.default_rng(0)
    tree = {"a": rng.normal(size=(BATCH, BEAM)), "b": rng.normal(size=(BATCH, BEAM, 2))}
    index = rng.integers(0, BEAM, (BATCH, 7))
    found = gather(jax.tree.map(jnp.float32, tree), jnp.asarray(index))
    for name, leaf in tree.items():
        expected = np.stack([leaf[row][index[row]] for row in range(BATCH)])
        np.testing.assert_array_equal(found[name], np.float32(expected))
