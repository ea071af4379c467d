"""A model that was used before starts without tracing it."""

import dataclasses

import jax
import pytest
from tiny_runs import trained_run

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.kept_shapes import kept_boxes, kept_shapes
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.model import size
from transformer_jax.training import state
from transformer_jax.translation.search_programs import make_search_programs
from transformer_jax.translation.translator import Translator

pytestmark = pytest.mark.usefixtures("folder")

MESH = make_mesh(MeshConfig(data=2), jax.devices()[:2])


@pytest.mark.slow
def test_a_search_from_stored_programs_is_the_same():
    run = trained_run()
    sources = [source for source, _ in run.train_pairs[:9]]
    translator = run.result.translator
    found = []
    for _ in range(2):
        make_search_programs.cache_clear()
        best = translator.n_best(sources, 2, beam_size=3)
        found.append([[dataclasses.astuple(each) for each in two] for two in best])
    assert found[0] == found[1]
    make_search_programs.cache_clear()


def test_a_second_start_traces_no_model(monkeypatch):
    run = trained_run()

    def start():
        traced = size.expected_shapes, size.abstract_boxes, state.abstract_state
        for known in (*traced, kept_shapes, kept_boxes):
            known.cache_clear()
        return (
            Translator.from_checkpoint(run.workdir).params,
            state.abstract_state(run.config, MESH),
        )

    def refuse(*_, **__):
        raise AssertionError("a model is traced")

    params, begun = start()
    monkeypatch.setattr(size.Transformer, "init", refuse)
    again, begun_again = start()
    assert size.shapes_of(again) == size.shapes_of(params)
    assert begun_again == begun
