"""Beam search of hand-drawn Markov chains, with answers by hand, and its contract."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_network import quick_jit

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.beam_search import beam_search
from transformer_jax.errors import InputError

PAD, EOS, A, B = 0, 1, 2, 3
BOS = PAD


def search_chain(transitions, *, batch_size=1, length_penalty="none", **options):
    """Searches where the next token depends on the last one only.

    `options` are those of `beam_search`, and settings of the search.
    """
    with np.errstate(divide="ignore"):
        table = jnp.asarray(np.log(np.array(transitions)), jnp.float32)
    names = ("beam_size", "length_penalty_alpha", "early_stopping")
    settings = {name: options.pop(name) for name in names if name in options}
    settings = DecodingConfig(length_penalty=length_penalty, **settings)
    options = {"eos_id": EOS, "pad_id": PAD, **options}

    @quick_jit
    def search(initial_tokens):
        return beam_search(
            lambda tokens, positions, history, cache: (table[tokens], cache, None),
            {}, initial_tokens, settings, **options,
        )  # fmt: skip

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
        length_penalty=name, length_penalty_alpha=1.0,
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
    chain = {
        "max_length": 5, "length_penalty": "length", "length_penalty_alpha": 1.0
    }  # fmt: skip
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


# At the second step nothing is a number any more.
ENDS_OR_BREAKS = [
    [0.0, 0.3, 0.7],
    [math.nan] * 3,
    [math.nan] * 3,
]


def test_log_probabilities_that_are_not_numbers_leave_what_has_ended():
    result = search_chain(ENDS_OR_BREAKS, beam_size=2, max_length=6)
    assert result.sequences[0].tolist() == [[EOS] + [PAD] * 5, [PAD] * 6]
    np.testing.assert_allclose(np.exp(result.scores), [[0.3, 0.0]], rtol=1e-6)
    assert result.finished.tolist() == [[True, False]]
    assert result.num_steps.max() == 2


@pytest.mark.parametrize("no_number", [math.nan, -math.nan, 0.0])
def test_what_follows_a_hypothesis_that_does_not_exist_is_never_looked_at(no_number):
    # The beam is wider than what is possible; its idle places hold <pad> and </s>.
    chain = [row if any(row) else [no_number] * 4 for row in NEVER_ENDING]
    found = search_chain(chain, beam_size=4, max_length=5)
    expected = search_chain(
        [row if any(row) else [0.25] * 4 for row in NEVER_ENDING],
        beam_size=4, max_length=5,
    )  # fmt: skip
    for part, of_expected in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, of_expected)


def test_logits_need_not_be_normalised():
    # 3 and 5 times the probabilities of the misleading chain.
    unnormalised = [
        [3 * p for p in row] if i % 2 else [5 * p for p in row]
        for i, row in enumerate(MISLEADING)
    ]
    search = functools.partial(search_chain, beam_size=2, max_length=6)
    np.testing.assert_allclose(
        search(unnormalised).scores, search(MISLEADING).scores, rtol=1e-6
    )


def test_a_step_reads_the_cache_it_has_written_where_it_has_written_it():
    # The cache is never moved: after the search it holds what each step was given.
    settings = DecodingConfig(beam_size=2, length_penalty="none")
    seen = []

    def step(tokens, positions, history, cache):
        cache = cache.at[:, history.slot[0]].set(tokens)
        jax.debug.callback(
            lambda *values: seen.append(values), positions, history.slot, tokens, cache
        )
        return jnp.log(jnp.asarray(MISLEADING))[tokens], cache, None

    jax.block_until_ready(
        beam_search(
            step, jnp.full((1, 3, 2), -1), jnp.full((1,), BOS), settings,
            max_length=3, eos_id=EOS, pad_id=PAD, num_results=2,
        )
    )  # fmt: skip
    jax.effects_barrier()
    assert len(seen) >= 2
    for number, (positions, slot, _, cache) in enumerate(seen):
        assert positions.tolist() == slot.tolist() == [number]
        for earlier, (_, _, tokens, _) in enumerate(seen[: number + 1]):
            assert cache[:, earlier].tolist() == tokens.tolist()
        assert (cache[:, number + 1 :] == -1).all()


def test_two_searches_trace_the_step_once():
    traces = []

    @functools.partial(jax.jit, static_argnames="settings")
    def search(table, tokens, max_lengths, settings):
        def step(tokens, positions, history, cache):
            traces.append(positions)
            return table[tokens], cache, None

        return beam_search(
            step, {}, tokens, settings, max_lengths=max_lengths, max_length=5,
            eos_id=EOS, pad_id=PAD,
        )  # fmt: skip

    for seed in range(2):
        table = jax.random.normal(jax.random.key(seed), (4, 4))
        limits = jnp.array([5, 2 + seed])
        search(table, jnp.zeros((2,), jnp.int32), limits, DecodingConfig(beam_size=2))
    assert len(traces) == 1


def test_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="beam_size=0 must be at least 1"):
        search_chain(MISLEADING, beam_size=0, max_length=3)
    with pytest.raises(InputError, match="max_length=0 must be at least 1"):
        search_chain(MISLEADING, beam_size=2, max_length=0)


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"sampling": True}, {}, "sampling=true needs rng"),
        ({"coverage_penalty": 0.2}, {}, "coverage_penalty=0.2 needs coverage"),
        ({}, {"num_results": 3}, "num_results=3 must be between 1 and .*=2"),
    ],
)
def test_what_the_settings_need_must_be_given(settings, arguments, message):
    settings = DecodingConfig(beam_size=2, **settings)
    with pytest.raises(InputError, match=message):
        beam_search(
            lambda tokens, positions, history, cache: (tokens, cache, None),
            {}, jnp.zeros((1,), jnp.int32), settings,
            max_length=3, eos_id=EOS, pad_id=PAD, **arguments,
        )  # fmt: skip
