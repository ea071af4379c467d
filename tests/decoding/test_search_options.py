"""Every option of the search, and all of them together, against the reference."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_network import (
    EOS,
    NUM_SENTENCES,
    assert_same,
    make_model,
    n_best,
    random_sentences,
    random_weights,
    search_network,
)
from reference_search import reference_search

from transformer_jax.config.decoding import DecodingConfig

# Of different lengths: none, an ordinary one, one that repeats itself, one that ends,
# and one longer than the limit.
PREFIXES = [(), (3, 2), (4, 4, 4, 4, 2, 3), (2, EOS), (5, 3, 2, 4, 3, 5)]
LIMITS = [12, 9, 11, 7, 4]
VOCAB_SIZE = 7


def pad_prefixes(prefixes):
    """Rows of one length, filled up with -1."""
    rows = np.full((len(prefixes), max(map(len, prefixes))), -1, np.int32)
    for row, prefix in zip(rows, prefixes, strict=True):
        row[: len(prefix)] = prefix
    return rows


def found_by_search(settings, *, seed, prefixes=None, num_results=None):
    """N-best lists of every sentence."""
    result = search_network(
        random_weights(VOCAB_SIZE, seed), random_sentences(seed), settings,
        max_length=max(LIMITS), max_lengths=jnp.asarray(LIMITS),
        prefixes=None if prefixes is None else jnp.asarray(pad_prefixes(prefixes)),
        num_results=num_results,
    )  # fmt: skip
    result = jax.device_get(result)
    return [n_best(result, i) for i in range(NUM_SENTENCES)]


def found_by_reference(settings, *, seed, prefixes=None):
    weights, sentences = random_weights(VOCAB_SIZE, seed), random_sentences(seed)
    return [
        reference_search(
            make_model(weights, sentences, i), settings, limit=LIMITS[i], eos_id=EOS,
            prefix=prefixes[i] if prefixes else (),
        )
        for i in range(NUM_SENTENCES)
    ]  # fmt: skip


OPTIONS = {
    "beam of one": {"beam_size": 1},
    "no length penalty": {"length_penalty": "none"},
    "length penalty by length": {"length_penalty": "length"},
    "large alpha": {"length_penalty_alpha": 2.0},
    "coverage penalty": {"coverage_penalty": 0.7},
    "minimum length": {"min_length": 4},
    "minimum length beyond some limits": {"min_length": 9},
    "forbidden tokens": {"forbidden_tokens": (3, 5)},
    "no token twice": {"no_repeat_ngram_size": 1},
    "no pair of tokens twice": {"no_repeat_ngram_size": 2},
    "no three tokens twice": {"no_repeat_ngram_size": 3},
    "n-grams longer than outputs": {"no_repeat_ngram_size": 13},
    "ending early": {"early_stopping": "first"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_alone_gives_what_the_reference_gives(option):
    settings = DecodingConfig(**{"beam_size": 3, **OPTIONS[option]})
    expected = found_by_reference(settings, seed=9)
    for found, of_reference in zip(
        found_by_search(settings, seed=9), expected, strict=True
    ):
        assert_same(found, of_reference)
    # An option that did nothing would be seen.
    default = found_by_reference(DecodingConfig(beam_size=3), seed=9)
    assert (expected == default) == (option == "n-grams longer than outputs")


@pytest.mark.parametrize("beam_size", [1, 4])
def test_outputs_begin_with_their_prefix_whatever_else_is_forbidden(beam_size):
    settings = DecodingConfig(beam_size=beam_size, min_length=3, no_repeat_ngram_size=2)
    lists = found_by_search(settings, seed=5, prefixes=PREFIXES)
    expected = found_by_reference(settings, seed=5, prefixes=PREFIXES)
    for i, found in enumerate(lists):
        assert_same(found, expected[i])
        assert found
        for each in found:
            assert each.tokens[: len(PREFIXES[i])] == PREFIXES[i][: LIMITS[i]]
    assert [each.tokens for each in lists[3]] == [(2, EOS)]
    assert [each.tokens for each in lists[4]] == [PREFIXES[4][: LIMITS[4]]]


def drawn_settings(seed):
    """Any combination of options."""
    rng = np.random.default_rng(seed)
    settings = DecodingConfig(
        beam_size=int(rng.integers(1, 6)),
        length_penalty=str(rng.choice(["gnmt", "length", "none"])),
        length_penalty_alpha=float(rng.choice([0.0, 0.6, 1.0, 1.5])),
        coverage_penalty=float(rng.choice([0.0, 0.2, 1.0])),
        min_length=int(rng.choice([0, 0, 3, 6])),
        no_repeat_ngram_size=rng.choice([None, 1, 2, 3]),
        early_stopping=str(rng.choice(["exact", "exact", "first"])),
    )
    num_results = int(rng.integers(1, settings.beam_size + 1))
    return settings, num_results, PREFIXES if rng.random() < 0.5 else None


@pytest.mark.parametrize("seed", range(12))
def test_options_together_give_what_the_reference_gives(seed):
    settings, num_results, prefixes = drawn_settings(seed)
    lists = found_by_search(
        settings, seed=seed, prefixes=prefixes, num_results=num_results
    )
    expected = found_by_reference(settings, seed=seed, prefixes=prefixes)
    for found, of_reference in zip(lists, expected, strict=True):
        assert_same(found, of_reference[:num_results])


def test_fewer_results_are_certain_sooner():
    weights, sentences = random_weights(4, 4), random_sentences(4)
    settings = DecodingConfig(beam_size=6, length_penalty_alpha=1.0)
    all_results, first = (
        jax.device_get(
            search_network(
                weights, sentences, settings, max_length=30, num_results=number
            )
        )
        for number in (None, 1)
    )
    assert (first.num_steps <= all_results.num_steps).all()
    assert first.num_steps.sum() < all_results.num_steps.sum()
    assert first.sequences.shape == (NUM_SENTENCES, 1, 30)
    for i in range(NUM_SENTENCES):
        assert_same(n_best(first, i), n_best(all_results, i)[:1])


def test_a_sentence_that_ends_at_first_ends_with_beam_size_hypotheses():
    weights, sentences = random_weights(4, 4), random_sentences(4)
    settings = DecodingConfig(beam_size=3, length_penalty_alpha=2.0)
    first, exact = (
        jax.device_get(
            search_network(
                weights, sentences, replace(settings, early_stopping=how), max_length=30
            )
        )
        for how in ("first", "exact")
    )
    assert first.finished.all()
    assert (first.num_steps < exact.num_steps).any()
    assert (first.scores[:, 0] <= exact.scores[:, 0]).all()
