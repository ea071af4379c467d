"""Sentences that take the rows of others find what they find when all begin at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from random_network import (
    BOS,
    EOS,
    PAD,
    assert_same,
    empty_cache,
    make_model,
    make_step,
    n_best,
    quick_jit,
    random_sentences,
    random_weights,
)
from reference_search import reference_search

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.beam_search import advance, rank_hypotheses
from transformer_jax.decoding.search_state import Search, empty_state

NUM_ROWS, NUM_SENTENCES, SLOTS = 3, 16, 9


def begun(sentences, limits, search):
    """Sentences of which nothing is read yet."""
    number = len(limits)
    return empty_state(
        empty_cache(sentences, search.settings.beam_size, SLOTS),
        jnp.full((number,), BOS), jnp.asarray(limits), search.settings, PAD,
        slots=SLOTS, max_length=SLOTS,
        coverage=jnp.where(sentences["is_source"], 0.0, 1.0),
    )  # fmt: skip


def replace_row(state, row, fresh):
    """The state with a new sentence in a row; what others wrote there stays."""
    slot = state.history.slot[:1]
    fresh = fresh._replace(history=fresh.history._replace(slot=slot))
    written = ("tokens", "positions")
    new = {name: part for name, part in fresh.cache.items() if name not in written}
    fresh = fresh._replace(
        cache={**new, **{name: state.cache[name][row][None] for name in written}}
    )
    return jax.tree.map(lambda old, part: old.at[row].set(part[0]), state, fresh)


def test_a_row_that_is_done_goes_to_the_next_sentence():
    # The ring of slots goes round several times, every row at another position.
    settings = DecodingConfig(beam_size=3, coverage_penalty=0.3, no_repeat_ngram_size=2)
    search = Search(settings=settings, eos_id=EOS, pad_id=PAD, num_results=3)
    weights, sentences = random_weights(6, 4), random_sentences(4, NUM_SENTENCES)
    limits = np.random.default_rng(0).integers(1, SLOTS + 1, NUM_SENTENCES)
    step = quick_jit(lambda state: advance(state, make_step(weights), search))
    ranked_now = quick_jit(functools.partial(rank_hypotheses, search=search))
    put = quick_jit(replace_row)

    first = {name: part[:NUM_ROWS] for name, part in sentences.items()}
    state = begun(first, limits[:NUM_ROWS], search)
    occupants, waiting = np.arange(NUM_ROWS), iter(range(NUM_ROWS, NUM_SENTENCES))
    found, num_steps = {}, 0
    while len(found) < NUM_SENTENCES:
        state = step(state)
        num_steps += 1
        if num_steps % 2:
            continue  # What is done waits.
        for row in np.flatnonzero(np.asarray(state.done) & (occupants >= 0)):
            found[occupants[row]] = n_best(jax.device_get(ranked_now(state)), row)
            occupants[row] = next(waiting, -1)
            if occupants[row] >= 0:
                i = slice(occupants[row], occupants[row] + 1)
                new = {name: part[i] for name, part in sentences.items()}
                state = put(state, row, begun(new, limits[i], search))
    assert num_steps > 2 * SLOTS
    for i in range(NUM_SENTENCES):
        model = make_model(weights, sentences, i)
        assert_same(
            found[i],
            reference_search(model, settings, limit=int(limits[i]), eos_id=EOS),
        )
