"""Beam search of a random network against the reference search and enumeration."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_network import (
    EOS,
    NUM_SENTENCES,
    PAD,
    assert_same,
    make_model,
    n_best,
    one,
    random_sentences,
    random_weights,
    search_in_jit,
    search_network,
)
from reference_search import Found, reference_score, reference_search

from transformer_jax.config.decoding import DecodingConfig


def search_with_models(vocab_size, seed, settings, **options):
    """The result, and for each sentence the network to check it with."""
    weights, sentences = random_weights(vocab_size, seed), random_sentences(seed)
    result = search_network(weights, sentences, settings, **options)
    models = [make_model(weights, sentences, i) for i in range(NUM_SENTENCES)]
    return jax.device_get(result), models


@pytest.mark.parametrize("seed", range(3))
def test_beam_of_one_is_greedy_search(seed):
    max_length = 12
    result, models = search_with_models(
        7, seed, DecodingConfig(beam_size=1), max_length=max_length
    )
    for i, model in enumerate(models):
        greedy = ()
        while len(greedy) < max_length and greedy[-1:] != (EOS,):
            greedy += (int(np.argmax(model(greedy)[0])),)
        (found,) = n_best(result, i)
        assert found.tokens == greedy
        assert found.is_finished == (greedy[-1] == EOS)
        assert result.num_steps[i] == len(greedy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alpha"), [("gnmt", 0.6), ("gnmt", 1.0), ("length", 0.6), ("none", 0.0)]
)
@pytest.mark.parametrize("beam_size", [2, 4])
def test_early_stop_takes_fewer_steps_to_the_same_result(name, alpha, beam_size):
    settings = DecodingConfig(
        beam_size=beam_size, length_penalty=name, length_penalty_alpha=alpha
    )
    result, models = search_with_models(4, 4, settings, max_length=30)
    for i, model in enumerate(models):
        expected = reference_search(model, settings, limit=30, eos_id=EOS)
        assert_same(n_best(result, i), expected)
    assert (result.num_steps < 30).all()


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [("gnmt", 0.6, 0.0), ("length", 1.0, 0.0), ("none", 0.0, 0.0), ("gnmt", 0.6, 0.5)],
)
def test_wide_beam_is_exhaustive_search(name, alpha, beta):
    vocab_size, max_length = 3, 4
    settings = DecodingConfig(
        beam_size=vocab_size**max_length, length_penalty=name,
        length_penalty_alpha=alpha, coverage_penalty=beta,
    )  # fmt: skip
    result, models = search_with_models(vocab_size, 2, settings, max_length=max_length)
    others = [token for token in range(vocab_size) if token != EOS]
    finished = [
        (*body, EOS)
        for length in range(max_length)
        for body in itertools.product(others, repeat=length)
    ]
    unfinished = list(itertools.product(others, repeat=max_length))
    number = len(finished) + len(unfinished)
    for i, model in enumerate(models):
        expected = [
            Found(tokens, reference_score(model, tokens, settings), is_finished)
            for group, is_finished in ((finished, True), (unfinished, False))
            for tokens in group
        ]
        expected.sort(key=lambda found: (not found.is_finished, -found.score))
        assert_same(n_best(result, i), expected)
        assert (result.scores[i, number:] == -math.inf).all()


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_n_best_are_sorted_distinct_padded_and_rescore_to_their_score(beta):
    settings = DecodingConfig(beam_size=6, coverage_penalty=beta)
    result, models = search_with_models(9, 3, settings, max_length=15)
    assert result.scores.dtype == np.float32
    assert result.sequences.dtype == result.lengths.dtype == np.int32
    for i, model in enumerate(models):
        found = n_best(result, i)
        assert len({each.tokens for each in found}) == 6
        for flag in (True, False):
            scores = [each.score for each in found if each.is_finished == flag]
            assert (np.diff(scores) <= 0).all()
        assert (np.diff(result.finished[i].astype(int)) <= 0).all()
        for beam, each in enumerate(found):
            assert (each.tokens[-1] == EOS) == each.is_finished
            assert EOS not in each.tokens[:-1]
            assert (result.sequences[i, beam, len(each.tokens) :] == PAD).all()
            rescored = reference_score(model, each.tokens, settings)
            np.testing.assert_allclose(each.score, rescored, rtol=2e-5)


def test_each_sentence_has_its_own_limit():
    settings = DecodingConfig(
        beam_size=3, length_penalty="length", length_penalty_alpha=1.0
    )
    limits = [3, 1, 9, 0, 50]
    result, models = search_with_models(
        6, 1, settings, max_length=10, max_lengths=jnp.array(limits)
    )
    for i, (model, limit) in enumerate(zip(models, limits, strict=True)):
        limit = min(limit, 10)
        assert (result.lengths[i] <= limit).all()
        expected = reference_search(model, settings, limit=limit, eos_id=EOS)
        assert_same(n_best(result, i), expected)
    assert result.num_steps[3] == 0


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_sentence_alone_gives_what_it_gives_in_a_batch(beam_size):
    weights, sentences = random_weights(6, 4), random_sentences(4)
    limits = jnp.array([12, 3, 7, 12, 5])
    search = functools.partial(
        search_network, settings=DecodingConfig(beam_size=beam_size), max_length=12
    )
    together = jax.device_get(search(weights, sentences, max_lengths=limits))
    for i in range(NUM_SENTENCES):
        alone = jax.device_get(
            search(weights, one(sentences, i), max_lengths=limits[i : i + 1])
        )
        assert_same(n_best(alone, 0), n_best(together, i))
        assert alone.num_steps[0] == together.num_steps[i]


def test_permuted_sentences_give_permuted_results():
    weights, sentences = random_weights(6, 4), random_sentences(4)
    order = np.array([3, 0, 4, 1, 2])
    search = functools.partial(
        search_network, weights, settings=DecodingConfig(), max_length=12
    )
    permuted = {name: part[order] for name, part in sentences.items()}
    found, expected = jax.device_get((search(permuted), search(sentences)))
    for i, origin in enumerate(order):
        assert_same(n_best(found, i), n_best(expected, origin))


def test_sentences_spread_over_devices_need_no_communication():
    if len(jax.devices()) < NUM_SENTENCES:
        pytest.skip(f"needs {NUM_SENTENCES} devices, as tests/conftest.py provides")
    weights, sentences = random_weights(6, 4), random_sentences(4)
    search = functools.partial(
        search_in_jit, weights, settings=DecodingConfig(beam_size=3), max_length=12
    )
    spread = jax.jit(
        jax.shard_map(
            search,
            mesh=jax.sharding.Mesh(jax.devices()[:NUM_SENTENCES], "data"),
            in_specs=jax.sharding.PartitionSpec("data"),
            out_specs=jax.sharding.PartitionSpec("data"),
            check_vma=False,
        )
    )
    compiled = spread.lower(sentences).compile()
    for collective in ("all-gather", "all-reduce", "collective-permute"):
        assert collective not in compiled.as_text()
    found, expected = jax.device_get((compiled(sentences), jax.jit(search)(sentences)))
    for i in range(NUM_SENTENCES):
        assert_same(n_best(found, i), n_best(expected, i))
    assert (found.num_steps == expected.num_steps).all()
