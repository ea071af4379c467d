"""A loop of one's own: docs/own_loop.py, and the public parts that it stands on."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_runs import one_layer_config, reversed_pairs, tiny_config, trained_run

import transformer_jax as tj
from transformer_jax.cli import main

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "own_loop.py"
PAIRS = reversed_pairs(60)


def load_script():
    spec = importlib.util.spec_from_file_location("own_loop", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def text_files(tmp_path, monkeypatch):
    """Settings of a tiny run that name files, and the directory they lie in."""
    monkeypatch.chdir(tmp_path)
    sides = zip(*PAIRS, strict=True)
    for name, side in zip(("a.en", "a.de"), sides, strict=True):
        Path(name).write_text("".join(f"{line}\n" for line in side))
    return one_layer_config(
        data__train_source_path="a.en", data__train_target_path="a.de"
    )


def test_the_script_trains_saves_and_its_run_is_read_by_commands(text_files, capsys):
    translator = load_script().train(text_files, "own", num_steps=4, log_every=2)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["2", "4"]
    assert all(0 < float(line.split()[2]) < 20 for line in printed)
    Path("in").write_text("ba be\n")
    assert main(["translate", "own", "--input", "in", "--no-progress"]) == 0
    assert capsys.readouterr().out.splitlines() == translator.translate(["ba be"])
    scores = tj.evaluate("own", pairs=PAIRS[:2], progress=False).scores
    assert scores["step"] == 4
    assert tj.average_checkpoints("own", last=1).name == "4"


def test_the_script_is_short_and_uses_public_names_only():
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 60
    assert "from transformer_jax" not in text
    assert "._" not in text.replace("._replace", "")


def updates(config, pairs, tmp_path, **own):
    """Returns metrics of two updates, and the parameters before and after them."""
    mesh = tj.make_mesh(config.mesh)
    data = tj.prepare(config, tmp_path / "data", train_pairs=pairs)
    state = tj.init_state(config, mesh, own.get("optimizer"))
    start = jax.tree.map(np.array, state.params)  # The updates consume them.
    step = tj.make_train_step(config, mesh, **own)
    packed = tj.pack_corpus(data.train, config.data, seed=0)
    batches = tj.make_batches(data.train, packed, config.data, seed=0)
    metrics = []
    for _ in range(2):
        state, report = step(state, tj.make_global(next(batches), mesh))
        metrics.append(jax.device_get(report))
    return metrics, start, jax.device_get(state.params)


@pytest.mark.long
def test_the_parts_given_by_name_are_those_of_the_default(tmp_path):
    config = one_layer_config(optimizer__max_gradient_norm=1.0)
    schedule = tj.make_schedule(config)
    own = {
        "loss": lambda *args: tj.batch_loss(*args, slice_tokens=64),
        "schedule": schedule,
        "optimizer": tj.make_optimizer(config, schedule),
    }
    default, given = (updates(config, PAIRS, tmp_path, **each) for each in ({}, own))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), default, given
    )


def test_a_loss_of_ones_own_is_what_is_minimised_and_reported(tmp_path):
    config = one_layer_config(model__dropout_rate=0.0)

    def doubled(config, params, batch, dropout_rng):
        sums = tj.batch_loss(config, params, batch, dropout_rng)
        return tj.LossSums(2.0 * sums.loss, sums.nll)

    (first, _), *_ = updates(config, PAIRS, tmp_path)
    (other, _), *_ = updates(config, PAIRS, tmp_path, loss=doubled)
    np.testing.assert_allclose(other["loss"], 2 * first["loss"], rtol=1e-5)
    np.testing.assert_allclose(other["nll"], first["nll"], rtol=1e-5)
    np.testing.assert_allclose(
        other["gradient_norm"], 2 * first["gradient_norm"], rtol=1e-4
    )


def test_metrics_are_means_over_the_tokens_of_the_batch(tmp_path):
    config = one_layer_config(model__dropout_rate=0.0)
    mesh = tj.make_mesh(config.mesh)
    data = tj.prepare(config, tmp_path / "data", train_pairs=PAIRS)
    packed = tj.pack_corpus(data.train, config.data, seed=0)
    host = next(tj.make_batches(data.train, packed, config.data, seed=0))
    batch, state = tj.make_global(host, mesh), tj.init_state(config, mesh)
    sums = jax.device_get(tj.make_evaluation_step(config, mesh)(state.params, batch))
    _, metrics = tj.make_train_step(config, mesh)(state, batch)
    for name in ("loss", "nll"):
        mean = sums[name] / (host.target_segments != 0).sum()
        assert float(metrics[name]) == pytest.approx(mean, rel=1e-5)
        assert tj.mean_metrics(sums)[name] == pytest.approx(mean, rel=1e-6)
    # A new model knows nothing: about as probable as any token.
    assert 0.5 < float(metrics["nll"]) / np.log(config.model.vocab_size) < 2


OPTIMIZERS = {
    "adafactor": lambda: optax.adafactor(1e-2, min_dim_size_to_factor=8),
    "sgd": lambda: optax.sgd(0.1, momentum=0.9),
    "lion": lambda: optax.lion(1e-3),
    "masked": lambda: optax.masked(
        optax.adam(1e-3), lambda tree: jax.tree.map(lambda x: x.ndim > 2, tree)
    ),
    "multi_steps": lambda: optax.MultiSteps(optax.adam(1e-3), 2),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name != "adafactor"))
        for name in OPTIMIZERS
    ],
)
def test_optimizers_of_optax_on_every_mesh(name, tmp_path):
    optimizer = OPTIMIZERS[name]()
    config = one_layer_config(mesh__fsdp=2, mesh__tensor=2)
    metrics, start, params = updates(config, PAIRS, tmp_path, optimizer=optimizer)
    assert "learning_rate" not in metrics[0]
    assert metrics[1]["skipped"] == 0
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), params, start)
    assert max(jax.tree.leaves(moved)) > 0


def test_a_given_tokenizer_is_used_and_kept(tmp_path, caplog):
    run = trained_run()
    given, config = run.result.translator.tokenizer, tiny_config()
    folder = tmp_path / "run"
    learnt = tj.prepare(config, folder, train_pairs=PAIRS).tokenizer
    assert learnt != given
    data = tj.prepare(config, folder, train_pairs=PAIRS, tokenizer=given)
    assert data.tokenizer == given
    assert "gives way to tokenizer=" in caplog.text
    assert data.train.source[0].tolist() == given.encode_source([PAIRS[0][0]])[0]
    # Later calls find it there, whatever the settings say of learning one.
    other = tiny_config(tokenizer__kind="unigram")
    assert tj.prepare(other, folder, train_pairs=PAIRS).tokenizer == given


def test_a_given_tokenizer_must_fit_model_and_checkpoint(tmp_path):
    run = trained_run()
    config = tiny_config(model__vocab_size=280)
    with pytest.raises(tj.InputError, match="=280 does not fit the tokenizer"):
        tj.prepare(
            config,
            tmp_path / "new",
            train_pairs=PAIRS,
            tokenizer=run.result.translator.tokenizer,
        )
    assert not (tmp_path / "new").exists()


def test_the_callback_gets_every_line_of_the_metrics(tmp_path):
    lines = []
    config = one_layer_config(training__num_steps=3)
    result = tj.train(
        config,
        tmp_path / "run",
        train_pairs=PAIRS,
        progress=False,
        on_metrics=lines.append,
    )
    assert lines == result.history
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines == tj.read_metrics(tmp_path / "run")


@pytest.mark.slow
def test_an_error_of_the_callback_ends_the_run(tmp_path):
    def stop(line):
        raise ZeroDivisionError("own")

    config = one_layer_config(training__num_steps=3)
    with pytest.raises(ZeroDivisionError, match="own"):
        tj.train(
            config,
            tmp_path / "run",
            train_pairs=PAIRS,
            progress=False,
            on_metrics=stop,
        )
    # Nothing is left locked or half written.
    tj.train(config, tmp_path / "run", train_pairs=PAIRS, progress=False)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"loss": "paper"}, "loss='paper' must be a function"),
        ({"schedule": 1e-3}, "schedule=0.001 must be a function"),
        ({"optimizer": "adam"}, "optimizer='adam' must be one of Optax"),
        ({"optimizer": optax.adam}, "must be one of Optax, as optax.adam"),
    ],
)
def test_parts_of_another_kind_are_refused(own, expected):
    config = one_layer_config()
    with pytest.raises(tj.InputError, match=expected):
        tj.make_train_step(config, tj.make_mesh(config.mesh), **own)


@pytest.mark.parametrize(
    "result",
    [None, 1.0, (1.0, 2.0), tj.LossSums(jnp.zeros(3), jnp.zeros(()))],
    ids=["None", "scalar", "tuple", "vector"],
)
def test_a_loss_that_returns_something_else_is_refused(result):
    config = one_layer_config()
    mesh = tj.make_mesh(config.mesh)
    step = tj.make_train_step(config, mesh, loss=lambda *_: result)
    batch = tj.Batch(*7 * [np.ones((8, 24), np.int32)])
    with pytest.raises(tj.InputError, match=r"expected LossSums\(loss"):
        step(tj.init_state(config, mesh), tj.make_global(batch, mesh))


def test_every_held_out_pair_counts_once(tmp_path):
    """As `evaluate` does it, with public parts."""
    run = trained_run()
    translator = run.result.translator
    config, mesh = translator.config, translator.mesh
    held_out = reversed_pairs(21, seed=9)
    data = tj.prepare(
        config,
        tmp_path / "own",
        train_pairs=PAIRS,
        validation_pairs=held_out,
        tokenizer=translator.tokenizer,
    )
    step = tj.make_evaluation_step(config, mesh)
    totals = None
    for batch in tj.evaluation_batches(data.validation, config.data):
        sums = step(translator.params, tj.make_global(batch, mesh))
        totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
    expected = tj.evaluate(run.workdir, pairs=held_out, progress=False).scores
    assert tj.mean_metrics(totals)["nll"] == pytest.approx(expected["nll"], rel=1e-5)
