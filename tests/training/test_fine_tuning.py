"""A run that begins with the parameters of another one."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from continued_runs import OTHERS, eight_steps, run, without_times
from test_loop import assert_same_bits, files_in
from tiny_runs import one_layer_config

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.contents import load_params
from transformer_jax.checkpoints.origin import origin_of
from transformer_jax.cli import main
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.evaluation.corpus_loss import mean_loss, split_batches
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.training.preparation import prepare
from transformer_jax.training.train import TrainResult
from transformer_jax.translation.translator import Translator

FROZEN = ("embedding", "encoder")


@pytest.fixture
def general(tmp_path) -> Path:
    """A work directory to begin from, that a test may change."""
    return Path(shutil.copytree(eight_steps()[0], tmp_path / "general"))


def tune(workdir: Path, initial: Path | None, pairs=OTHERS, **changes) -> TrainResult:
    """Trains from a checkpoint, with settings that may be others than it has."""
    given = None if initial is None else str(initial)
    settings = {"frozen": FROZEN, "num_steps": 4, **changes}
    return run(workdir, pairs, initial_checkpoint=given, **settings)


def test_the_first_loss_is_that_of_the_loaded_model(general, tmp_path):
    """All pairs are in one row, so each row of the batch has all of them."""
    changes = {"model__dropout_rate": 0.0, "seed": 5, "data__target_length": 12}
    pairs = OTHERS[:1]
    result = tune(
        tmp_path / "law", general, pairs, num_steps=1, label_smoothing=0.2, **changes
    )
    translator = Translator.from_checkpoint(general)
    config, mesh = result.config, make_mesh(result.config.mesh)
    data = prepare(config, tmp_path / "law", train_pairs=pairs)
    assert data.tokenizer == translator.tokenizer
    batches = split_batches(data.train, config, mesh, data.tokenizer)
    expected = mean_loss(
        make_evaluation_step(config, mesh), translator.params, batches, mesh
    )
    (line,) = result.history
    assert line["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert line["nll"] == pytest.approx(expected["nll"], rel=1e-5)
    assert line["step"] == 1


def test_frozen_parts_stay_and_the_others_move(general, tmp_path):
    """Begun with one checkpoint of the directory, or with an average of some."""
    for initial in general / "checkpoints" / "3", average_checkpoints(general, 2):
        workdir = tmp_path / f"from {initial.name}"
        before = load_params(initial)
        after = tune(workdir, initial, num_steps=1).state.params
        assert_same_bits(
            {part: before[part] for part in FROZEN},
            {part: after[part] for part in FROZEN},
        )
        for old, new in zip(
            jax.tree.leaves(before["decoder"]),
            jax.tree.leaves(after["decoder"]),
            strict=True,
        ):
            assert not np.array_equal(old, new)
    assert origin_of(workdir / "checkpoints" / "1")["step"] == 8


def test_continued_it_is_the_run_it_would_have_been(general, tmp_path):
    """Its initial checkpoint is gone by then."""
    straight = tune(tmp_path / "straight", general, log_every_steps=4)
    parts = tmp_path / "parts"
    tune(parts, general, log_every_steps=4)
    for step in ("3", "4"):
        shutil.rmtree(parts / "checkpoints" / step)
    origin = origin_of(parts / "checkpoints" / "2")
    shutil.rmtree(general)
    again = tune(parts, general, log_every_steps=4)
    assert_same_bits(again.state, straight.state)
    assert without_times(again.history) == without_times(straight.history)
    assert origin_of(parts / "checkpoints" / "4") == origin
    assert origin["path"] == str(general / "checkpoints" / "8")
    assert origin["step"] == 8


def test_a_run_that_has_begun_keeps_its_beginning(general, tmp_path):
    workdir = tmp_path / "law"
    tune(workdir, general, num_steps=1)
    before = files_in(workdir)
    for initial in (None, tmp_path):
        with pytest.raises(InputError, match=r"initial_checkpoint: '.*general' -> "):
            tune(workdir, initial)
    with pytest.raises(InputError, match=r"frozen: \('embedding', 'encoder'\) -> \(\)"):
        tune(workdir, general, frozen=())
    assert files_in(workdir) == before
    # The same in other words is the same.
    tune(workdir, f"{general}/", num_steps=1, frozen=FROZEN[::-1])


REFUSED = {
    "sizes": (
        {"model__d_ff": 48, "model__norm": "pre"},
        r"model\.d_ff: 64 -> 48; model\.norm: 'post' -> 'pre'\)",
    ),
    "tokenizer": ({"tokenizer__kind": "unigram"}, r"kind: 'bpe' -> 'unigram'"),
    "positions": ({"model__positions": "learned"}, r"'sinusoidal' -> 'learned'"),
    "leaves": ({"treebank__leaf_symbol": "XX"}, r"leaf_symbol: None -> 'XX'"),
    "task": (
        {"treebank__train_paths": ("trees.mrg",)},
        "its model was trained to translate",
    ),
    "part": (
        {"frozen": ("encodr",)},
        r"training\.frozen='encodr' is no part .* did you mean 'encoder'\?",
    ),
    "all": ({"frozen": ("decoder", *FROZEN)}, "leaves nothing to train"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_not_differ_is_refused_before_anything_is_written(what, tmp_path):
    changes, message = REFUSED[what]
    with pytest.raises(InputError, match=message) as caught:
        tune(tmp_path / "law", eight_steps()[0], **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "law").exists()


def test_a_checkpoint_that_is_none_or_damaged_is_refused(general, tmp_path):
    workdir = tmp_path / "law"
    with pytest.raises(InputError, match=r"initial_checkpoint='.*nowhere': .* has no"):
        tune(workdir, tmp_path / "nowhere")
    damaged = next((general / "checkpoints" / "8" / "params" / "d").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"initial_checkpoint=.* is damaged"):
        tune(workdir, general)
    with pytest.raises(InputError, match=r"initial_checkpoint='' must be a directory"):
        one_layer_config(training__initial_checkpoint="")
    assert not workdir.exists()


def test_another_tokenizer_in_the_work_directory_is_refused(tmp_path):
    workdir, initial = tmp_path / "law", eight_steps()[0]
    config = one_layer_config()
    own = prepare(config, workdir, train_pairs=OTHERS).tokenizer
    before = files_in(workdir)
    with pytest.raises(InputError, match=r"the tokenizer in workdir=.* is not that of"):
        tune(workdir, initial)
    assert files_in(workdir) == before
    tuned = one_layer_config(training__initial_checkpoint=str(initial))
    with pytest.raises(InputError, match="tokenizer= is not that of"):
        prepare(tuned, tmp_path / "new", train_pairs=OTHERS, tokenizer=own)
    (workdir / "tokenizer.model").unlink()
    theirs = prepare(tuned, workdir, train_pairs=OTHERS).tokenizer
    assert theirs == Translator.from_checkpoint(initial).tokenizer != own


def test_from_the_shell_with_the_settings_of_the_other_run(tmp_path, capsys):
    """Then every command takes the result as it takes any run."""
    initial, workdir = eight_steps()[0], str(tmp_path / "law")
    for side, texts in zip(("en", "de"), zip(*OTHERS, strict=True), strict=True):
        (tmp_path / side).write_text("".join(f"{text}\n" for text in texts))
    (tmp_path / "law.toml").write_text(
        f'extends = "{initial}/config.json"\n'
        "[data]\n"
        f'train_source_path = "{tmp_path}/en"\ntrain_target_path = "{tmp_path}/de"\n'
        "[training]\nnum_steps = 2\n"
    )
    command = ["train", str(tmp_path / "law.toml"), "--workdir", workdir]
    flags = ["--training.initial-checkpoint", str(initial), "--no-progress"]
    frozen = ["--training.frozen", "embedding", "decoder/cross_attention"]
    assert main([*command, *flags, *frozen]) == 0
    assert main(["average", workdir, "--last", "2"]) == 0
    capsys.readouterr()
    found = {}
    for path in (workdir, f"{workdir}/average/2"):
        assert main(["info", path]) == 0
        found[path] = json.loads(capsys.readouterr().out)
        origin = found[path]["initial_checkpoint"]
        assert origin["path"] == f"{initial}/checkpoints/8"
        assert re.fullmatch("[0-9a-f]{16}", origin["parameters"])
    left = found[workdir]["num_parameters"] - found[workdir]["num_trained_parameters"]
    assert left == 300 * 32 + 4 * 32 * 32
    source = ["--source", str(tmp_path / "en"), "--target", str(tmp_path / "de")]
    assert main(["evaluate", workdir, *source, "--no-progress"]) == 0
    assert main(["translate", workdir, "--input", str(tmp_path / "en")]) == 0
    assert main([*command, *flags]) == 2
    assert "training.frozen: ('embedding', 'decoder/cro" in capsys.readouterr().err
