"""What the grammar allows is exactly what can still become a tree within the limit."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import transformer_jax as tj
from transformer_jax.decoding.bracket_grammar import (
    allowed_tokens,
    no_brackets,
    write_tokens,
)

PAD, EOS, OPEN_A, OPEN_B, CLOSE_A, CLOSE_B, X, Y = range(8)
VOCAB = 9  # The last token is a word of the source, say: it is never allowed.
GRAMMAR = tj.BracketGrammar(
    opening=(OPEN_A, OPEN_B), closing=(CLOSE_A, CLOSE_B), leaves=(X, Y), max_depth=4
)
CLOSING_OF = {OPEN_A: CLOSE_A, OPEN_B: CLOSE_B}


@functools.cache
def forests(num_tokens, num_leaves, depth=4):
    """All sequences of trees side by side, by their definition."""
    if num_tokens == 0:
        return [()] if num_leaves == 0 else []
    found = []
    if num_leaves:
        rest = forests(num_tokens - 1, num_leaves - 1, depth)
        found += [(leaf, *others) for leaf in (X, Y) for others in rest]
    if depth:
        for inside, leaves in itertools.product(
            range(1, num_tokens - 1), range(1, num_leaves + 1)
        ):
            first = forests(inside, leaves, depth - 1)
            rest = forests(num_tokens - inside - 2, num_leaves - leaves, depth)
            found += [
                (opening, *one, closing, *others)
                for opening, closing in CLOSING_OF.items()
                for one in first
                for others in rest
            ]
    return found


def outputs(max_length, num_leaves):
    """All outputs of at most so many tokens, the end included."""
    return {
        (*forest, EOS)
        for number in range(max_length)
        for forest in forests(number, num_leaves)
    }


@jax.jit
def allowed_after(tokens, num_leaves, max_length):
    """Returns what is allowed before each of `tokens` and after the last."""
    brackets = no_brackets(GRAMMAR, num_leaves[None], 1)

    def step(carry, token):
        brackets, left = carry
        allowed = allowed_tokens(GRAMMAR, brackets, left, VOCAB, EOS)[0, 0]
        brackets = write_tokens(GRAMMAR, brackets, token[None, None], VOCAB, EOS)
        return (brackets, left - 1), allowed

    return jax.lax.scan(step, (brackets, max_length[None]), tokens)[1]


@pytest.mark.parametrize(("num_leaves", "max_length"), [(1, 9), (2, 8), (3, 7), (3, 4)])
def test_exactly_what_can_be_completed_is_allowed(num_leaves, max_length):
    whole = outputs(max_length, num_leaves)
    expected = {}
    for output in whole:
        for place, token in enumerate(output):
            expected.setdefault(output[:place], set()).add(token)
    rng = np.random.default_rng(0)
    chosen = list(whole)
    if len(chosen) > 300:
        chosen = [chosen[i] for i in rng.choice(len(chosen), 300, replace=False)]
    for output in chosen:
        tokens = np.full(10, EOS)
        tokens[: len(output)] = output
        found = allowed_after(tokens, jnp.array(num_leaves), jnp.array(max_length))
        for place in range(len(output)):
            allowed = set(np.flatnonzero(found[place]).tolist())
            assert allowed == expected[output[:place]], output[:place]


def random_step(seed):
    """A model whose next token depends on the two before it."""
    rng = np.random.default_rng(seed)
    table = jnp.asarray(2.0 * rng.standard_normal((VOCAB, VOCAB, VOCAB)), jnp.float32)

    def step(tokens, positions, history, cache):
        # cache: [batch, slots * beam]: each place keeps the token that was read there.
        beam = tokens.shape[1]
        now = jax.lax.dynamic_update_slice_in_dim(
            cache, tokens, history.slot[0] * beam, axis=1
        )
        seen = history.visible_places()
        slots = jnp.arange(cache.shape[1])[None, None] // beam
        before = jnp.where(seen & (slots == history.slot[0] - 1), now[:, None], 0)
        return table[before.max(axis=-1), tokens], now, None

    return step, jax.nn.log_softmax(table)


def log_probability(log_probs, output, bos):
    """Read with the token before; at position 0 there is none, which is token 0."""
    before, last, total = 0, bos, 0.0
    for token in output:
        total += float(log_probs[before, last, token])
        before, last = last, token
    return total


def search(step, num_leaves, max_lengths, beam_size, max_length=8):
    settings = tj.DecodingConfig(beam_size=beam_size, length_penalty="none")

    @jax.jit
    def run(num_leaves, max_lengths):
        batch = num_leaves.shape[0]
        return tj.beam_search(
            step,
            jnp.zeros((batch, max_length * beam_size), jnp.int32),
            jnp.full((batch,), PAD),
            settings,
            max_length=max_length,
            max_lengths=max_lengths,
            eos_id=EOS,
            pad_id=PAD,
            grammar=GRAMMAR,
            num_leaves=num_leaves,
        )

    result = run(jnp.array(num_leaves), jnp.array(max_lengths))
    return jax.device_get(result)


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_trees_of_all(seed):
    step, log_probs = random_step(seed)
    num_leaves, max_lengths = [1, 2, 3, 3], [7, 6, 6, 4]
    found = search(step, num_leaves, max_lengths, beam_size=300)
    for row, (leaves, limit) in enumerate(zip(num_leaves, max_lengths, strict=True)):
        ranked = sorted(
            (-log_probability(log_probs, output, PAD), output)
            for output in outputs(limit, leaves)
        )
        number = min(20, len(ranked))
        assert found.finished[row, :number].all()
        np.testing.assert_allclose(
            -found.scores[row, :number], [score for score, _ in ranked[:number]], 1e-4
        )
        best = found.sequences[row, 0, : found.lengths[row, 0]]
        assert tuple(best.tolist()) == ranked[0][1]
        assert found.finished[row].sum() == min(len(ranked), 300)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_every_output_ends_as_a_tree_even_at_its_limit(beam_size):
    """A model that wants nothing but brackets is held to what can still be closed."""
    table = jnp.zeros((VOCAB,)).at[OPEN_A].set(50.0).at[OPEN_B].set(49.0)

    def step(tokens, positions, history, cache):
        return jnp.broadcast_to(table, (*tokens.shape, VOCAB)), cache, None

    num_leaves, max_lengths = [1, 1, 2, 6], [2, 8, 8, 8]
    found = search(step, num_leaves, max_lengths, beam_size)
    for row, (leaves, limit) in enumerate(zip(num_leaves, max_lengths, strict=True)):
        output = found.sequences[row, 0, : found.lengths[row, 0]]
        assert found.finished[row, 0]
        assert tuple(output.tolist()) in outputs(limit, leaves)
    # The deepest that fits: ((( x ))) and the end.
    assert found.sequences[1, 0, :3].tolist() == 3 * [OPEN_A]


def test_sampling_draws_trees_only():
    settings = tj.DecodingConfig(beam_size=1, sampling=True)
    step, _ = random_step(0)
    rngs = jax.random.split(jax.random.key(0), 200)
    result = tj.beam_search(
        step,
        jnp.zeros((200, 8), jnp.int32),
        jnp.full((200,), PAD),
        settings,
        max_length=8,
        eos_id=EOS,
        pad_id=PAD,
        rng=rngs,
        grammar=GRAMMAR,
        num_leaves=jnp.full((200,), 2),
    )
    lengths = result.lengths[:, 0].tolist()
    rows = zip(result.sequences[:, 0].tolist(), lengths, strict=True)
    found = {tuple(row[:length]) for row, length in rows}
    assert len(found) > 20
    assert found <= outputs(8, 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"closing": (4,)}, "2 opening tokens for 1 closing ones"),
        ({"leaves": ()}, "expected at least one leaf"),
        ({"leaves": (2,)}, "that all differ"),
        ({"leaves": (-1,)}, "that all differ"),
        ({"max_depth": 0}, "max_depth=0 must be 1 to 32767"),
    ],
)
def test_a_grammar_that_makes_no_sense(changes, expected):
    with pytest.raises(tj.InputError, match=expected):
        tj.BracketGrammar(**(dataclasses.asdict(GRAMMAR) | changes))


def test_tokens_of_a_grammar_are_in_the_vocabulary():
    for vocab_size, eos_id in ((7, EOS), (VOCAB, X)):
        with pytest.raises(tj.InputError, match="grammar is the end of sentence"):
            GRAMMAR.meanings(vocab_size, eos_id)


def test_a_grammar_needs_the_numbers_of_leaves():
    with pytest.raises(tj.InputError, match="grammar needs num_leaves"):
        tj.beam_search(
            random_step(0)[0],
            jnp.zeros((1, 8), jnp.int32),
            jnp.zeros((1,), jnp.int32),
            tj.DecodingConfig(beam_size=1),
            max_length=8,
            eos_id=EOS,
            pad_id=PAD,
            grammar=GRAMMAR,
        )
