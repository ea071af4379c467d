"""Beam search of hand-drawn Markov chains, with answers by hand, and its contract."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.decoding.beam_search import beam_search
from transformer_jax.decoding.scores import make_length_penalty
from transformer_jax.errors import InputError

PAD, EOS, A, B = 0, 1, 2, 3
BOS = PAD
NO_PENALTY = make_length_penalty("none")


def search_chain(transitions, *, batch_size=1, **settings):
    """Searches where the next token depends on the last one only."""
    with np.errstate(divide="ignore"):
        table = jnp.asarray(np.log(np.array(transitions)), jnp.float32)
    settings = {
        "length_penalty": NO_PENALTY, "eos_id": EOS, "pad_id": PAD, **settings
    }  # fmt: skip

    @jax.jit
    def search(initial_tokens):
        return beam_search(
            lambda tokens, cache, position: (table[tokens], cache),
            {},
            initial_tokens,
            **settings,
        )

    return jax.device_get(search(jnp.full((batch_size,), BOS)))


# Greedy search is misled: A is the likelier beginning, B </s> the likeliest whole.
#
#           .6 ---> A -- .40 --> </s>
#          /       /^ \           ^
#    <s> -+    .35 \/  \ .25      |
#          \            v         |
#           .4 -------> B -- .9 --+       B -- .1 --> A
#
#            pad  EOS   A    B
MISLEADING = [
    [0.0, 0.0, 0.6, 0.4],  # BOS
    [0.0, 0.0, 0.0, 0.0],  # EOS
    [0.0, 0.4, 0.35, 0.25],  # A
    [0.0, 0.9, 0.1, 0.0],  # B
]


def test_beam_of_two_finds_what_greedy_search_misses():
    # B </s> = .4 * .9 = .36, A </s> = .6 * .4 = .24. The best live one is then
    # A A = .6 * .35 = .21 < .24, so two steps of the six allowed prove the result.
    result = search_chain(MISLEADING, beam_size=2, max_length=6)
    assert result.sequences[0, :, :3].tolist() == [[B, EOS, PAD], [A, EOS, PAD]]
    np.testing.assert_allclose(np.exp(result.scores[0]), [0.36, 0.24], rtol=1e-6)
    assert result.lengths.tolist() == [[2, 2]]
    assert result.finished.all()
    assert result.num_steps.max() == 2


def test_greedy_search_is_misled():
    result = search_chain(MISLEADING, beam_size=1, max_length=6)
    assert result.sequences[0, 0].tolist() == [A, EOS, PAD, PAD, PAD, PAD]
    np.testing.assert_allclose(np.exp(result.scores[0]), [0.24], rtol=1e-6)
    assert result.num_steps.max() == 2


@pytest.mark.parametrize(
    ("name", "max_length", "second", "scores", "num_steps"),
    [
        # log .36 / 2 = -.511, A B </s>: log .135 / 3 = -.667, A </s>: log .24 / 2 =
        # -.714. Live A A may reach log .21 / 3 = -.520 at length 3: not done at 2.
        ("length", 3, [A, B, EOS], [-0.5108, -0.6675], 3),
        # At 3, live A A A may reach log .0735 / 4 = -.653 > -.667: goes on. At 4,
        # A A B </s>: log .04725 / 4 = -.763 does not enter.
        ("length", 4, [A, B, EOS], [-0.5108, -0.6675], 4),
        # log .36 * 6 / 7, log .24 * 6 / 7; A A may reach log .21 * 6 / 8 = -1.171.
        # A B </s>: log .135 * 6 / 8 = -1.502 does not enter.
        ("gnmt", 3, [A, EOS, PAD], [-0.8757, -1.2232], 3),
    ],
)
def test_length_penalty_changes_the_second_best(
    name, max_length, second, scores, num_steps
):
    result = search_chain(
        MISLEADING, beam_size=2, max_length=max_length,
        length_penalty=make_length_penalty(name, 1.0),
    )  # fmt: skip
    assert result.sequences[0, :, :3].tolist() == [[B, EOS, PAD], second]
    np.testing.assert_allclose(result.scores[0], scores, atol=1e-4)
    assert result.num_steps.max() == num_steps


#    <s> -- .55 --> </s>
#      \             ^
#       -- .45 --> A -- 1
BETTER_WHEN_LONGER = [
    [0.0, 0.55, 0.45],
    [0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
]


def test_beam_of_one_ends_at_its_first_end_whatever_would_score_better():
    # log .55 = -.598 at length 1, log .45 / 2 = -.399 at length 2.
    chain = {"max_length": 5, "length_penalty": make_length_penalty("length", 1.0)}
    greedy = search_chain(BETTER_WHEN_LONGER, beam_size=1, **chain)
    assert greedy.sequences[0, 0].tolist() == [EOS, PAD, PAD, PAD, PAD]
    assert greedy.num_steps.max() == 1
    wider = search_chain(BETTER_WHEN_LONGER, beam_size=2, **chain)
    assert wider.sequences[0, :, :2].tolist() == [[A, EOS], [EOS, PAD]]
    np.testing.assert_allclose(wider.scores[0], [-0.3993, -0.5978], atol=1e-4)


#    <s> -- .7 --> A -- 1 --> A ...  never ends
#      \
#       --- .3 --> B -- 1 --> </s>
NEVER_ENDING = [
    [0.0, 0.0, 0.7, 0.3],
    [0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 1.0, 0.0, 0.0],
]


def test_sequence_that_never_ends_is_returned_whole_and_unfinished():
    result = search_chain(NEVER_ENDING, beam_size=1, max_length=5)
    assert result.sequences[0, 0].tolist() == [A] * 5
    assert result.lengths.tolist() == [[5]]
    assert result.finished.tolist() == [[False]]
    np.testing.assert_allclose(np.exp(result.scores), [[0.7]], rtol=1e-6)


def test_finished_rank_before_likelier_unfinished_and_the_rest_is_empty():
    result = search_chain(NEVER_ENDING, beam_size=4, max_length=5)
    assert result.sequences[0].tolist() == [
        [B, EOS, PAD, PAD, PAD], [A] * 5, [PAD] * 5, [PAD] * 5
    ]  # fmt: skip
    assert result.finished.tolist() == [[True, False, False, False]]
    assert result.lengths.tolist() == [[2, 5, 0, 0]]
    np.testing.assert_allclose(np.exp(result.scores), [[0.3, 0.7, 0.0, 0.0]], rtol=1e-6)


def test_search_ends_when_every_hypothesis_has_ended():
    only_end = [[0.0, 1.0]] * 2
    for beam_size in (1, 3):
        result = search_chain(only_end, beam_size=beam_size, max_length=9)
        assert result.num_steps.max() == 1
        assert result.sequences[0, 0].tolist() == [EOS] + [PAD] * 8
        assert result.lengths[0].tolist() == [1] + [0] * (beam_size - 1)
        assert result.scores[0].tolist() == [0.0] + [-math.inf] * (beam_size - 1)


def test_vocabulary_of_one_token():
    result = search_chain([[1.0]], beam_size=3, max_length=4, eos_id=0)
    assert result.lengths.tolist() == [[1, 0, 0]]
    assert result.finished.tolist() == [[True, False, False]]


def test_log_probabilities_that_are_not_numbers_give_no_hypothesis():
    result = search_chain([[math.nan] * 4] * 4, beam_size=2, max_length=3)
    assert result.scores.tolist() == [[-math.inf, -math.inf]]
    assert result.lengths.tolist() == [[0, 0]]
    assert not result.finished.any()


def test_a_batch_without_anything_to_do_takes_no_step():
    result = search_chain(
        MISLEADING, batch_size=2, beam_size=2, max_length=3,
        max_lengths=jnp.zeros((2,), jnp.int32),
    )  # fmt: skip
    assert result.num_steps.max() == 0
    assert (result.lengths == 0).all()
    assert (result.scores == -math.inf).all()


def test_cache_follows_its_hypothesis():
    # The prefix the step has written into the cache must be the hypothesis itself.
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(0, 2, (50, 3, 4, 6)), jnp.float32)
    seen = []

    def step(tokens, cache, position):
        (prefix,) = cache
        prefix = prefix.at[:, :, 0, position].set(tokens)
        jax.debug.callback(lambda *values: seen.append(values), position, prefix)
        # Depends on a hash of the whole prefix, so that parents change at each step.
        digest = jnp.einsum("bkt,t->bk", prefix[:, :, 0, :], 7 ** jnp.arange(6)) % 50
        logits = table[digest, :, 0, :].sum(axis=2)
        return jax.nn.log_softmax(logits.at[:, :, EOS].set(-1e9)), (prefix,)

    search = functools.partial(
        beam_search, step, beam_size=3, max_length=6, eos_id=EOS, pad_id=PAD,
        length_penalty=NO_PENALTY,
    )  # fmt: skip
    prefixes = jnp.zeros((2, 3, 1, 6), jnp.int32)
    result = jax.jit(search)((prefixes,), jnp.array([2, 3]))
    jax.effects_barrier()
    prefixes = {int(position): prefix[:, :, 0, :] for position, prefix in seen}
    # Unfinished hypotheses keep the order of the last step's live ones, so that what
    # the last step read, by parent, is all but the last token of what is returned.
    for sentence, first in enumerate((2, 3)):
        read = {tuple(row.tolist()) for row in prefixes[5][sentence]}
        for tokens in np.asarray(result.sequences[sentence]):
            assert (first, *tokens[:-1].tolist()) in read


def test_two_searches_trace_the_step_once():
    traces = []

    @functools.partial(jax.jit, static_argnames="length_penalty")
    def search(table, tokens, max_lengths, length_penalty):
        def step(tokens, cache, position):
            traces.append(position)
            return table[tokens], cache

        return beam_search(
            step, {}, tokens, max_lengths=max_lengths, length_penalty=length_penalty,
            beam_size=2, max_length=5, eos_id=EOS, pad_id=PAD,
        )  # fmt: skip

    for seed in range(2):
        table = jax.nn.log_softmax(jax.random.normal(jax.random.key(seed), (4, 4)))
        limits = jnp.array([5, 2 + seed])
        search(table, jnp.zeros((2,), jnp.int32), limits, make_length_penalty("gnmt"))
    assert len(traces) == 1


def test_wrong_sizes_are_refused():
    chain = {"beam_size": 2, "max_length": 3}
    with pytest.raises(InputError, match="beam_size=0 must be at least 1"):
        search_chain(MISLEADING, **{**chain, "beam_size": 0})
    with pytest.raises(InputError, match="max_length=0 must be at least 1"):
        search_chain(MISLEADING, **{**chain, "max_length": 0})
    with pytest.raises(
        InputError, match=r"cache\['key'\] of shape \(1, 7\) .*\(batch, beam_size\)="
    ):
        beam_search(
            lambda tokens, cache, position: (cache["key"], cache),
            {"key": jnp.zeros((1, 7))}, jnp.zeros((1,), jnp.int32),
            eos_id=EOS, pad_id=PAD, length_penalty=NO_PENALTY, **chain,
        )  # fmt: skip
