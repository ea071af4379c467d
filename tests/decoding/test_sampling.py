"""What is drawn, against the probabilities it is drawn from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_network import (
    EOS,
    NUM_SENTENCES,
    make_model,
    n_best,
    one,
    quick_jit,
    random_sentences,
    random_weights,
    search_network,
)
from reference_search import reference_score

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.decoding.sampling import sample_tokens
from transformer_jax.kernels.random_bits import MURMUR

SAMPLING = functools.partial(DecodingConfig, sampling=True)
NUM_KEYS, BEAM = 2_000, 8
#                         the last two are equal; one is forbidden
PROBABILITIES = np.array([0.3, 0.02, 0.25, 0.0, 0.2, 0.13, 0.05, 0.05])


def keys(number, seed=0, impl=MURMUR):
    """A key for each sentence, as the package's programs make them."""
    fold_in = functools.partial(jax.random.fold_in, jax.random.key(seed, impl=impl))
    return jax.vmap(fold_in)(jnp.arange(number))


def counts(probabilities, settings, *, position=0, impl=MURMUR):
    """How often each token is drawn."""
    with np.errstate(divide="ignore"):
        logits = jnp.asarray(np.log(probabilities) + 3.0, jnp.float32)
    logits = jnp.broadcast_to(logits, (NUM_KEYS, BEAM, len(probabilities)))
    positions = jnp.full((NUM_KEYS,), position)
    drawn = quick_jit(sample_tokens, static_argnums=3)(
        keys(NUM_KEYS, impl=impl), logits, positions, settings
    )
    assert drawn.shape == (NUM_KEYS, BEAM)
    return np.bincount(np.ravel(drawn), minlength=len(probabilities))


def assert_drawn_from(counts, probabilities):
    """A chi-square test that true frequencies fail once in a hundred thousand."""
    assert (counts[probabilities == 0] == 0).all()
    expected = counts.sum() * probabilities
    possible = probabilities > 0
    distance = np.sum((counts - expected)[possible] ** 2 / expected[possible])
    freedom = possible.sum() - 1
    # Wilson and Hilferty: the cube root of such a sum is almost normal.
    spread = 2 / (9 * freedom) if freedom else 1.0
    bound = freedom * (1 - spread + 4.3 * spread**0.5) ** 3
    assert distance <= bound


def apply_temperature(probabilities, temperature):
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum()


def keep_only(probabilities, tokens):
    kept = np.zeros_like(probabilities)
    kept[tokens] = probabilities[tokens]
    return kept / kept.sum()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, PROBABILITIES),
        ({"temperature": 0.5}, apply_temperature(PROBABILITIES, 0.5)),
        ({"temperature": 3.0}, apply_temperature(PROBABILITIES, 3.0)),
        ({"top_k": 3}, keep_only(PROBABILITIES, [0, 2, 4])),
        ({"top_k": 1}, keep_only(PROBABILITIES, [0])),
        ({"top_k": 8}, PROBABILITIES),
        ({"top_k": 100}, PROBABILITIES),
        # .3 + .25 + .2 = .75
        ({"top_p": 0.74}, keep_only(PROBABILITIES, [0, 2, 4])),
        ({"top_p": 0.76}, keep_only(PROBABILITIES, [0, 2, 4, 5])),
        # The most probable token alone suffices.
        ({"top_p": 0.29}, keep_only(PROBABILITIES, [0])),
        ({"top_p": 1e-6}, keep_only(PROBABILITIES, [0])),
        ({"top_p": 1.0}, PROBABILITIES),
        # Temperature comes first: squared, .3 and .25 and .2 are .87 of the whole.
        (
            {"temperature": 0.5, "top_p": 0.86},
            keep_only(apply_temperature(PROBABILITIES, 0.5), [0, 2, 4]),
        ),
        # Of the 4 most probable, together .88, three are .85 and two .63.
        ({"top_k": 4, "top_p": 0.8}, keep_only(PROBABILITIES, [0, 2, 4])),
        ({"top_k": 2, "top_p": 0.99}, keep_only(PROBABILITIES, [0, 2])),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_probable(settings, expected):
    assert_drawn_from(counts(PROBABILITIES, SAMPLING(**settings)), expected)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"top_k": 4}, [0, 2, 4, 5]),
        ({"top_k": 5}, [0, 2, 4, 5, 6]),
        ({"top_k": 6}, [0, 2, 4, 5, 6, 7]),
        ({"top_p": 0.87}, [0, 2, 4, 5]),
        ({"top_p": 0.92}, [0, 2, 4, 5, 6]),
        ({"top_p": 0.97}, [0, 2, 4, 5, 6, 7]),
    ],
)
def test_of_equally_probable_tokens_no_more_are_kept_than_asked_for(settings, kept):
    assert_drawn_from(
        counts(PROBABILITIES, SAMPLING(**settings)), keep_only(PROBABILITIES, kept)
    )


@pytest.mark.parametrize("settings", [{"top_k": 2}, {"top_p": 0.5}])
def test_half_of_four_equal_tokens_are_two(settings):
    uniform = np.full(4, 0.25)
    found = counts(uniform, SAMPLING(**settings))
    assert_drawn_from(found, np.array([0.5, 0.5, 0.0, 0.0]))


@pytest.mark.parametrize("impl", [MURMUR, "threefry2x32"], ids=["murmur", "threefry"])
def test_draws_of_positions_sentences_and_hypotheses_are_independent(impl):
    # Of three tokens, pairs that share all but one of what a draw follows from.
    logits = jnp.log(jnp.asarray([0.5, 0.3, 0.2]))
    logits = jnp.broadcast_to(logits, (NUM_KEYS, BEAM, 3))

    def sample_at(position):
        positions = jnp.full((NUM_KEYS,), position)
        return np.asarray(
            sample_tokens(keys(NUM_KEYS, impl=impl), logits, positions, SAMPLING())
        )

    now, later = sample_at(6), sample_at(7)
    pair = np.outer([0.5, 0.3, 0.2], [0.5, 0.3, 0.2]).ravel()
    for first, second in (
        (now, later), (now[:-1], now[1:]), (now[:, :-1], now[:, 1:])
    ):  # fmt: skip
        # Every other one, as overlapping pairs are not independent.
        found = np.bincount(np.ravel(3 * first + second)[::2], minlength=9)
        assert_drawn_from(found, pair)


def sample_outputs(
    settings, *, seed=0, max_length=4, sentences=None, rng=None, **options
):
    """Draws whole outputs of the random network of this seed."""
    sentences = sentences or random_sentences(seed)
    return jax.device_get(
        search_network(
            random_weights(4, seed), sentences, settings, max_length=max_length,
            rng=keys(len(sentences["memory"])) if rng is None else rng, **options,
        )
    )  # fmt: skip


def every_output(model, max_length):
    """Each possible output with its probability."""
    outputs, unfinished = {}, {(): 1.0}
    for _ in range(max_length):
        longer = {
            (*tokens, token): before * np.exp(log_probability)
            for tokens, before in unfinished.items()
            for token, log_probability in enumerate(model(tokens)[0])
        }
        outputs |= {t: p for t, p in longer.items() if t[-1] == EOS}
        unfinished = {t: p for t, p in longer.items() if t[-1] != EOS}
    return outputs | unfinished


@pytest.mark.slow
def test_whole_outputs_are_drawn_as_often_as_they_are_probable():
    settings = SAMPLING(beam_size=2_000)
    result = sample_outputs(settings, max_length=3)
    for i in range(NUM_SENTENCES):
        model = make_model(random_weights(4, 0), random_sentences(0), i)
        expected = every_output(model, max_length=3)
        assert sum(expected.values()) == pytest.approx(1.0)
        found = dict.fromkeys(expected, 0)
        for each in n_best(result, i):
            found[each.tokens] += 1
        assert sum(found.values()) == settings.beam_size
        # Rare outputs together, as a chi-square test wants five of each.
        rare = [t for t, p in expected.items() if p * settings.beam_size < 5]
        common = sorted(set(expected) - set(rare))
        groups = [[t] for t in common] + ([rare] if rare else [])
        assert_drawn_from(
            np.array([sum(found[t] for t in group) for group in groups]),
            np.array([sum(expected[t] for t in group) for group in groups]),
        )


OTHER_OPTIONS = {
    "temperature": {"temperature": 2.0},
    "top_k": {"top_k": 2},
    "top_p": {"top_p": 0.5},
    "penalties": {
        "length_penalty": "length", "length_penalty_alpha": 1.0,
        "coverage_penalty": 0.3,
    },
}  # fmt: skip


@pytest.mark.parametrize("option", OTHER_OPTIONS)
def test_scores_are_those_of_the_model_whatever_was_drawn_from(option):
    settings = SAMPLING(beam_size=6, **OTHER_OPTIONS[option])
    result = sample_outputs(settings, max_length=8)
    for i in range(NUM_SENTENCES):
        model = make_model(random_weights(4, 0), random_sentences(0), i)
        found = n_best(result, i)
        assert len(found) == 6
        for each in found:
            expected = reference_score(model, each.tokens, settings)
            np.testing.assert_allclose(each.score, expected, rtol=2e-5)
        order = [(not each.is_finished, -each.score) for each in found]
        assert order == sorted(order)


def test_a_constraint_is_never_broken():
    settings = SAMPLING(beam_size=50, min_length=3, no_repeat_ngram_size=2)
    prefixes = jnp.asarray([[-1, -1], [3, -1], [3, 3], [2, 0], [0, 0]])
    result = sample_outputs(settings, max_length=8, prefixes=prefixes)
    for i in range(NUM_SENTENCES):
        prefix = tuple(token for token in prefixes[i].tolist() if token >= 0)
        for each in n_best(result, i):
            assert each.tokens[: len(prefix)] == prefix
            assert EOS not in each.tokens[:3]
            pairs = list(zip(each.tokens, each.tokens[1:], strict=False))
            assert len(set(pairs)) == len(pairs)
            assert each.score > -np.inf


def same_lists(first, second):
    return [n_best(first, i) == n_best(second, i) for i in range(NUM_SENTENCES)]


def test_a_seed_decides_what_is_drawn():
    settings = SAMPLING(beam_size=3)
    search = functools.partial(sample_outputs, settings, max_length=8)
    first, again, other = search(), search(), search(rng=keys(NUM_SENTENCES, seed=1))
    assert all(same_lists(first, again))
    assert not any(same_lists(first, other))


def test_a_sentence_draws_alone_what_it_draws_in_a_batch():
    settings = SAMPLING(beam_size=3)
    search = functools.partial(sample_outputs, settings, max_length=8)
    together = search()
    for i in range(NUM_SENTENCES):
        alone = search(
            sentences=one(random_sentences(0), i), rng=keys(NUM_SENTENCES)[i : i + 1]
        )
        tokens = [each.tokens for each in n_best(alone, 0)]
        assert tokens == [each.tokens for each in n_best(together, i)]
