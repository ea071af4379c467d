"""What people really pass is taken where its meaning is clear; else see bad_input/."""

import numpy as np
import pytest
from tiny_runs import trained_run

import transformer_jax as tj

SENTENCES = ["ba be", "ko ku mi"]


class Series:
    """As a column of pandas: no sequence, but it has an order and a length."""

    def __init__(self, values):
        self._values = values

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)


@pytest.fixture(scope="module")
def translator():
    return trained_run().result.translator


@pytest.mark.parametrize(
    "given",
    [
        tuple(SENTENCES),
        Series(SENTENCES),
        np.array(SENTENCES),
        tuple(np.array(SENTENCES)),
        np.array(SENTENCES, object),
        dict.fromkeys(SENTENCES).keys().__iter__(),
        {1: SENTENCES[0], 2: SENTENCES[1]}.values(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_sentences_in_any_order_giving_form_are_taken(given, translator):
    assert translator.translate(given) == translator.translate(SENTENCES)


def test_a_generator_is_read_once(translator):
    given = (sentence for sentence in SENTENCES)
    found = translator.n_best(given, 2, prefixes=(word for word in ("ba", "")))
    assert found == translator.n_best(SENTENCES, 2, prefixes=["ba", ""])


def test_numbers_of_numpy_are_python_s_in_settings(translator):
    assert tj.DecodingConfig(beam_size=np.int64(3)).beam_size == 3
    config = tj.TrainingConfig(
        num_steps=np.int32(7), label_smoothing=np.float32(0.5), seed=np.uint8(1)
    )
    plain = tj.TrainingConfig(num_steps=7, label_smoothing=0.5, seed=1)
    assert repr(config) == repr(plain)
    changed = translator.translate(SENTENCES, beam_size=np.int64(1))
    assert changed == translator.translate(SENTENCES, beam_size=1)
