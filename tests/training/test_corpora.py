"""Training on several corpora: the loss of each, exact continuation, other weights."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu
from continued_runs import run, without_times
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.data.batch import make_batch
from transformer_jax.data.corpora import given_corpora
from transformer_jax.data.corpus import make_corpus
from transformer_jax.data.pipeline import pack_corpus
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.loss.batch_loss import batch_loss
from transformer_jax.loss.cross_entropy import LossSums
from transformer_jax.training.corpus_metrics import name_corpora
from transformer_jax.training.run_record import (
    RunRecord,
    order_of_rows,
    position_at_start,
)
from transformer_jax.training.state import init_state
from transformer_jax.training.step import make_train_step
from transformer_jax.training.validation import Validation
from transformer_jax.training.window import Window

CORPORA = (
    CorpusConfig(name="to", tag="ka", weight=3),
    CorpusConfig(name="fro", weight=1, target_language="zh"),
    CorpusConfig(name="rare", weight=0.1),
)
NAMES = ("to", "fro", "rare")
PAIRS = {
    "to": reversed_pairs(120),
    "fro": [(t, s) for s, t in reversed_pairs(60, seed=1)],
    "rare": reversed_pairs(30, seed=2),
}
CONFIG = one_layer_config(
    data__corpora=CORPORA, model__dropout_rate=0.0, model__attention_dropout_rate=0.0
)


def random_corpus():
    rng = np.random.default_rng(0)
    sides = [
        [[*rng.integers(4, 300, n).tolist(), 2] for n in rng.integers(1, 12, 150)]
        for _ in range(2)
    ]
    corpus = make_corpus(*sides, bos_id=1, pad_id=0)
    return dataclasses.replace(corpus, corpus_sizes=(80, 40, 30))


sums_of = jax.jit(lambda params, batch: batch_loss(CONFIG, params, batch, None))


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_the_loss_of_a_corpus_is_that_of_its_rows_alone(parts):
    """Whichever devices and parts of the batch they are in."""
    config = CONFIG.replace(
        training=dataclasses.replace(CONFIG.training, accumulation_steps=parts)
    )
    mesh = make_mesh(MeshConfig(), jax.devices()[:4])
    corpus = random_corpus()
    packed = pack_corpus(corpus, config.data, seed=0)
    last = packed.num_rows - 1  # Of the corpus that is rare.
    rows = np.array([0, last, 1, packed.corpus_rows[0], 2, last - 1, 3, 4])
    batch = make_batch(corpus, packed, rows)
    assert sorted(batch.corpus.tolist()) == [0, 0, 0, 0, 0, 1, 2, 2]
    state = init_state(config, mesh)
    params = jax.device_get(state.params)
    _, report = make_train_step(config, mesh)(state, sharding.make_global(batch, mesh))
    found = name_corpora(jax.device_get(report), NAMES)

    for place, name in enumerate(NAMES):
        of_corpus = (batch.corpus == place)[:, None]
        segments = np.where(of_corpus, batch.target_segments, 0)
        alone = batch._replace(target_segments=segments, corpus=None)
        loss, nll = sums_of(params, alone)
        tokens = np.count_nonzero(segments)
        assert found[f"loss/{name}"] == pytest.approx(float(loss / tokens), rel=1e-5)
        assert found[f"nll/{name}"] == pytest.approx(float(nll / tokens), rel=1e-5)
        assert found[f"target_tokens/{name}"] == int(tokens)
    total = sum(found[f"loss/{n}"] * found[f"target_tokens/{n}"] for n in NAMES)
    assert found["loss"] == pytest.approx(total / found["target_tokens"], rel=1e-5)


def test_a_loss_of_ones_own_may_have_no_sums_by_corpus():
    config = CONFIG.replace(
        training=dataclasses.replace(CONFIG.training, accumulation_steps=2)
    )
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])

    def loss(config, params, batch, rng):
        size = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params))
        return LossSums(size, size)

    corpus = random_corpus()
    packed = pack_corpus(corpus, config.data, seed=0)
    batch = make_batch(corpus, packed, np.arange(8))
    step = make_train_step(config, mesh, loss=loss)
    _, report = jax.eval_shape(step, init_state(config, mesh), batch)
    assert not [name for name in report if "corpus" in name]


def window_of(*reports):
    window = Window()
    for report in reports:
        window.add({"learning_rate": 0.1, "gradient_norm": 1.0, "source_tokens": 1.0,
                    "source_slots": 1.0, "target_slots": 9.0, **report})  # fmt: skip
    return window


def test_the_means_of_a_window_are_by_tokens():
    window = window_of(
        {"loss": 3.0, "nll": 2.0, "target_tokens": 4.0,
         "loss/a": 3.0, "nll/a": 2.0, "target_tokens/a": 4.0,
         "loss/b": 0.0, "nll/b": 0.0, "target_tokens/b": 0.0},
        {"loss": 4.0, "nll": 3.0, "target_tokens": 4.0,
         "loss/a": 1.0, "nll/a": 1.0, "target_tokens/a": 1.0,
         "loss/b": 5.0, "nll/b": 11 / 3, "target_tokens/b": 3.0},
    )  # fmt: skip
    line = Window.from_dict(window.to_dict()).summary()
    assert (line["loss/a"], line["loss/b"]) == (pytest.approx(13 / 5), 5.0)
    assert (line["share/a"], line["share/b"]) == (5 / 8, 3 / 8)
    assert line["nll"] == pytest.approx(2.5)


def test_a_window_goes_on_with_corpora_of_other_names():
    window = window_of(
        {"loss": 3.0, "nll": 2.0, "target_tokens": 4.0},
        {"loss": 3.0, "nll": 2.0, "target_tokens": 4.0,
         "loss/new": 1.0, "nll/new": 1.0, "target_tokens/new": 2.0},
    )  # fmt: skip
    line = window.summary()
    assert (line["loss"], line["loss/new"], line["share/new"]) == (3.0, 1.0, 0.25)


def test_bleu_of_each_corpus_is_by_its_language():
    """BLEU of all is the mean of theirs."""
    texts = {"to": [("a", "ba be bi bo bu")], "fro": [("b", "他昨天去了上海。")],
             "rare": [("c", "da de di do du")]}  # fmt: skip
    given = given_corpora(CONFIG.data, texts, "validation_pairs")
    data = SimpleNamespace(validation_text="a digest", validation_pairs=given)
    validation = Validation(CONFIG, make_mesh(CONFIG.mesh), data)
    hypotheses = {"ka a": "ba be bi bo", "b": "他昨天去了北京。", "c": "da de di do du"}

    def n_best(sources, number, on_done=None):
        return [[SimpleNamespace(text=hypotheses[source])] for source in sources]

    found = validation._scores(SimpleNamespace(n_best=n_best), None, None)
    expected = {
        name: sacrebleu.corpus_bleu(
            [hypotheses[list(given)[place][0]]], [[texts[name][0][1]]],
            tokenize="zh" if name == "fro" else "13a",
        ).score
        for place, name in enumerate(NAMES)
    }  # fmt: skip
    assert {name: found[f"bleu/{name}"] for name in NAMES} == expected
    assert found["bleu"] == pytest.approx(sum(expected.values()) / 3)
    assert 0 < expected["fro"] < expected["rare"]


def test_with_other_weights_the_run_goes_on_with_their_rows():
    corpus = random_corpus()
    packed = pack_corpus(corpus, CONFIG.data, seed=0)
    start = position_at_start(CONFIG, packed, "a text")
    rows = CONFIG.data.rows
    record = RunRecord(position=dataclasses.replace(start, row=50 * rows))
    order = order_of_rows(CONFIG, packed, start, record, 50)
    fresh = order_of_rows(CONFIG, packed, start, RunRecord(), 0)
    assert order.rows_of(60).tolist() == fresh.rows_of(60).tolist()
    equal = [dataclasses.replace(c, weight=1) for c in CORPORA]
    other = CONFIG.replace(data=dataclasses.replace(CONFIG.data, corpora=tuple(equal)))
    changed = order_of_rows(other, packed, start, record, 50)
    fresh = order_of_rows(other, packed, start, RunRecord(), 0)
    assert changed.rows_of(60).tolist() == fresh.rows_of(60).tolist()
    assert changed.rows_of(60).tolist() != order.rows_of(60).tolist()


@pytest.mark.slow
def test_a_run_goes_on_exactly_and_tells_of_each_corpus(tmp_path):
    validation = {name: pairs[:4] for name, pairs in PAIRS.items() if name != "rare"}
    settings = {"pairs": PAIRS, "validation": validation, "data__corpora": CORPORA,
                "num_steps": 4, "evaluate_every_steps": 2}  # fmt: skip
    whole = run(tmp_path / "run", **settings)
    again = run(tmp_path / "run", from_step=2, **settings)
    assert without_times(again.history) == without_times(whole.history)
    for one, other in zip(
        jax.tree.leaves(whole.state.params), jax.tree.leaves(again.state.params),
        strict=True,
    ):  # fmt: skip
        assert np.array_equal(one, other)
    lines = [line for line in whole.history if line["kind"] == "train"]
    for line in lines:
        shares = [line.get(f"share/{name}", 0.0) for name in NAMES]
        assert sum(shares) == pytest.approx(1)
        assert shares[0] > shares[1] > shares[2]
        assert line["epoch/fro"] > 0
    # Nothing is compiled anew because a corpus is in a batch, or is not.
    assert lines[1]["compile_count"] == lines[0]["compile_count"]
    last = whole.history[-1]
    assert last["kind"] == "validation"
    assert {"loss/to", "nll/fro"} <= last.keys()
    assert "loss/rare" not in last
    assert (
        min(last["loss/to"], last["loss/fro"])
        < last["loss"]
        < max(last["loss/to"], last["loss/fro"])
    )
