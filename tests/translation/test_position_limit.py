"""Learned tables of positions limit the length of sentences; sinusoids do not."""

import pytest
from tiny_runs import tiny_config

from transformer_jax.data.corpus import make_corpus
from transformer_jax.errors import InputError
from transformer_jax.translation.position_limit import check_lengths, position_limit

SINUSOIDAL = tiny_config().model
LEARNED = tiny_config(model__positions="learned", model__max_length=30).model
LONGER = tiny_config(model__positions="learned", model__max_length=50).model


def test_the_smallest_table_of_an_ensemble_is_the_limit():
    assert position_limit([SINUSOIDAL]) is None
    assert position_limit([LEARNED]) == 30
    assert position_limit([LONGER, SINUSOIDAL, LEARNED]) == 30


@pytest.mark.parametrize("side", [0, 1])
def test_a_sentence_longer_than_the_table_is_refused(side):
    def corpus(length):
        sides = [[[5, 2]], [[5, 2]]]
        sides[side] = [[5] * (length - 1) + [2]]
        return make_corpus(*sides, bos_id=1, pad_id=0)

    check_lengths(corpus(30), LONGER, LEARNED)
    with pytest.raises(InputError, match=r"31 tokens, more than model\.max_length=30"):
        check_lengths(corpus(31), LONGER, LEARNED)
    check_lengths(corpus(31), SINUSOIDAL)
    check_lengths(make_corpus([], [], bos_id=1, pad_id=0), LEARNED)
