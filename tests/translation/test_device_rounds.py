"""Devices search a queue by themselves, whenever the host looks at them."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.translation import continuous_batching, device_rounds
from transformer_jax.translation.device_rounds import group_size
from transformer_jax.translation.search_requests import Request
from transformer_jax.translation.translator import Translator

WIDTH, ROWS = 32, 16
SENTENCES = [source for source, _ in reversed_pairs(120, seed=7, longest=9)]


@pytest.fixture(scope="module", params=[1, 2])
def translator(request) -> Translator:
    trained = trained_run().result.translator
    mesh = make_mesh(MeshConfig(), jax.devices()[: request.param])
    params = jax.device_put(trained.params, sharding.replicated_sharding(mesh))
    return Translator(trained.config, params, trained.tokenizer, mesh)


def search(translator, monkeypatch, *, most_steps: int, queue: int):
    """Returns the results, and what the host has found each time it looked."""
    monkeypatch.setattr(continuous_batching, "_MOST_STEPS", most_steps)
    monkeypatch.setattr(device_rounds, "_QUEUE", queue)
    settings = dataclasses.replace(
        translator.config.decoding, batch_tokens=ROWS * WIDTH, beam_size=2
    )
    encoded = translator.tokenizer.encode_source(SENTENCES)
    # Of some, the output may have no token; others end before the devices look again.
    requests = [
        Request(source, 0 if i % 11 == 5 else len(source) + i % 7)
        for i, source in enumerate(encoded)
    ]
    looks = []
    look = continuous_batching._Batch.search

    def seen(self):
        looks.append(look(self))
        return looks[-1]

    monkeypatch.setattr(continuous_batching._Batch, "search", seen)
    results = translator.search(requests, 2, settings)
    monkeypatch.undo()
    return results, looks


def test_results_do_not_depend_on_when_the_host_looks(translator, monkeypatch):
    seldom, few = search(translator, monkeypatch, most_steps=16, queue=2)
    often, many = search(translator, monkeypatch, most_steps=1, queue=1)
    assert len(many) > 5 * len(few)
    for looks in (few, many):
        found = [index for each in looks for index in each]
        assert sorted(found) == list(range(len(SENTENCES)))
    assert len(often) == len(seldom) == len(SENTENCES)
    for i, (first, second) in enumerate(zip(often, seldom, strict=True)):
        assert [h.tokens for h in first] == [h.tokens for h in second]
        np.testing.assert_allclose(
            [h.score for h in first], [h.score for h in second], rtol=1e-5
        )
        assert bool(first) == (i % 11 != 5)


def test_the_host_looks_less_often_than_sentences_are_admitted(translator, monkeypatch):
    _, looks = search(translator, monkeypatch, most_steps=16, queue=2)
    assert group_size(ROWS) == 2
    groups = len(SENTENCES) // (translator.mesh.size * group_size(ROWS))
    assert len(looks) <= groups / 4
