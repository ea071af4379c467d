"""Masks against matrices written out."""

import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.model import masks


def matrix(text):
    return np.array([[mark == "x" for mark in row] for row in text.split()])


def test_segments_attend_within_themselves_and_padding_to_nothing():
    queries, keys = jnp.asarray([[1, 1, 2, 0]]), jnp.asarray([[1, 2, 2, 0, 0]])
    expected = matrix("x.... x.... .xx.. .....")
    np.testing.assert_array_equal(masks.segment_mask(queries, keys), expected[None])


def test_causal_mask_allows_a_position_and_those_before_it():
    expected = matrix("x... xx.. xxx. xxxx")
    np.testing.assert_array_equal(masks.causal_mask(4), expected[None])


@pytest.mark.parametrize(
    ("causal", "window", "expected"),
    [
        (False, None, "xxx..... xxx..... xxx..... ...xxxx. ...xxxx. ...xxxx. ...xxxx."),
        (False, 1, "xx...... xxx..... .xx..... ...xx... ...xxx.. ....xxx. .....xx."),
        (True, None, "x....... xx...... xxx..... ...x.... ...xx... ...xxx.. ...xxxx."),
        (True, 2, "x....... xx...... xxx..... ...x.... ...xx... ...xxx.. ....xxx."),
    ],
)
def test_self_attention_mask(causal, window, expected):
    segments = jnp.asarray([[1, 1, 1, 2, 2, 2, 2, 0]])
    pattern = masks.AttentionPattern(segments, segments, causal=causal, window=window)
    mask = pattern.mask()
    np.testing.assert_array_equal(mask, matrix(expected + " ........")[None])
