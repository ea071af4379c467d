"""Learned tables of positions limit the length of sentences; sinusoids do not."""

from tiny_runs import tiny_config

from transformer_jax.translation.position_limit import position_limit

SINUSOIDAL = tiny_config().model
LEARNED = tiny_config(model__positions="learned", model__max_length=30).model
LONGER = tiny_config(model__positions="learned", model__max_length=50).model


def test_the_smallest_table_of_an_ensemble_is_the_limit():
    assert position_limit([SINUSOIDAL]) is None
    assert position_limit([LEARNED]) == 30
    assert position_limit([LONGER, SINUSOIDAL, LEARNED]) == 30
