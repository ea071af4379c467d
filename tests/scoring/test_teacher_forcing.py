"""Every pair is in one batch, of one of few shapes; what is no pair is refused."""

import numpy as np
import pytest
from tiny_runs import tiny_config, trained_run

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError
from transformer_jax.scoring.teacher_forcing import (
    corpus_from_tokens,
    parts_from_texts,
    run_on_pairs,
)
from transformer_jax.translation.translator import Translator


@pytest.fixture(scope="module")
def translator() -> Translator:
    return trained_run().result.translator


def random_corpus(translator, number, longest, seed=0):
    rng = np.random.default_rng(seed)
    sides = (
        [rng.integers(4, 300, rng.integers(1, longest)).tolist() for _ in range(number)]
        for _ in range(2)
    )
    return corpus_from_tokens(translator, *sides)


def batches(translator, corpus, batch_tokens, **options):
    """What a program that looks at nothing is given."""
    settings = DecodingConfig(batch_tokens=batch_tokens)
    return list(
        run_on_pairs(
            translator, corpus, lambda _: lambda _, batch: batch, settings, **options
        )
    )


@pytest.mark.parametrize("number", [1, 7, 200])
def test_every_pair_stands_once_in_a_row_of_its_own(translator, number):
    corpus = random_corpus(translator, number, 60)
    seen = []
    for chosen, batch, (of_model,) in batches(translator, corpus, 128):
        np.testing.assert_array_equal(batch.source, of_model.source)
        for row, index in enumerate(chosen):
            for tokens, segments, expected in (
                (batch.source, batch.source_segments, corpus.source[index]),
                (batch.target_labels, batch.target_segments, corpus.target[index]),
            ):
                np.testing.assert_array_equal(tokens[row, : len(expected)], expected)
                assert segments[row].sum() == len(expected)
        assert not batch.source_segments[len(chosen) :].any()
        seen += chosen.tolist()
    assert sorted(seen) == list(range(number))


def test_shapes_are_few_and_batches_full(translator):
    corpus = random_corpus(translator, 2_000, 100)
    found = batches(translator, corpus, 512)
    widths = {batch.source.shape[1] for _, batch, _ in found}
    assert {32, 48, 64, 96, 128} <= widths <= {16, 24, 32, 48, 64, 96, 128}
    # One more, of the last batch.
    assert len({batch.source.shape for _, batch, _ in found}) <= len(widths) + 1
    for chosen, batch, _ in found[:-1]:
        assert len(chosen) == len(batch.source)
    assert all(batch.source.size <= 8 * 512 for _, batch, _ in found)
    lengths = np.maximum(corpus.source_lengths, corpus.target_lengths)
    # A batch is at most filled up with some that would have had a smaller one.
    assert sum(b.source.size for _, b, _ in found) < 1.5 * lengths.sum()


def test_attention_bounds_the_rows_of_long_pairs(translator):
    tokens = [[5] * 3_000]
    corpus = corpus_from_tokens(translator, tokens * 40, tokens * 40)
    ((_, batch, _), *_) = batches(translator, corpus, 1 << 17)
    assert batch.source.shape == (8 * 10, 3_072)  # a fourth of the 42 that may be
    ((_, batch, _), *_) = batches(translator, corpus, 1 << 17, keeps_attention=True)
    assert batch.source.shape == (8, 3_072)


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ("ba be", ["be ba"], "sources='ba be' is one string"),
        (["ba"], "be", "targets='be' is one string"),
        (["ba", "be"], ["ba"], "2 sources but 1 targets: give one target for each"),
    ],
)
def test_texts_that_are_no_pairs(translator, sources, targets, message):
    with pytest.raises(InputError, match=message):
        parts_from_texts(translator, sources, targets, DecodingConfig())


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ([[2], []], [[2], [2]], "source 1 has no tokens"),
        ([[2]], [[]], "target 0 has no tokens"),
        ([[2], [300]], [[2], [2]], "source 1 has a token id outside .* 300: encode"),
        ([[2]], [[5, -1]], "target 0 has a token id outside"),
    ],
)
def test_tokens_that_are_no_pairs(translator, sources, targets, message):
    with pytest.raises(InputError, match=message) as caught:
        corpus_from_tokens(translator, sources, targets)
    assert "\n" not in str(caught.value)


def test_learned_positions_are_used_to_the_last_and_not_beyond(
    translator, random_params
):
    config = tiny_config(model__positions="learned", model__max_length=40)
    learned = Translator(config, random_params(config.model), translator.tokenizer)
    fits = corpus_from_tokens(learned, [[5]], [[5] * 40])
    ((_, batch, _),) = batches(learned, fits, 128)
    assert batch.source.shape[1] == 40
    with pytest.raises(
        InputError, match=r"target of pair 1 has 41 tokens .* model\.max_length=40"
    ):
        corpus_from_tokens(learned, [[5]], [[5] * 41])
