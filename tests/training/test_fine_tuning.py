"""A run that begins with the parameters of another one."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from continued_runs import OTHERS, eight_steps, run, without_times
from processes import answers
from test_loop import assert_same_bits, files_in
from tiny_runs import one_layer_config
from tiny_treebank import parsing_config, parsing_run

import transformer_jax as tj
from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.choosing import checkpoint_dir
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
    """There is one pair, which every row of the batch has."""
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
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


@pytest.fixture(scope="module")
def from_shell(tmp_path_factory) -> tuple[Path, list[str]]:
    """A run with the settings of the other one, and the command that trains it."""
    initial, folder = eight_steps()[0], tmp_path_factory.mktemp("shell")
    for side, texts in zip(("en", "de"), zip(*OTHERS, strict=True), strict=True):
        (folder / side).write_text("".join(f"{text}\n" for text in texts))
    (folder / "law.toml").write_text(
        f'extends = "{initial}/config.json"\n'
        "[data]\n"
        f'train_source_path = "{folder}/en"\ntrain_target_path = "{folder}/de"\n'
        "[training]\nnum_steps = 2\n"
    )
    command = ["train", f"{folder}/law.toml", "--workdir", f"{folder}/law"]
    command += ["--training.initial-checkpoint", str(initial), "--no-progress"]
    frozen = ["--training.frozen", "embedding", "decoder/cross_attention"]
    assert main([*command, *frozen]) == 0
    assert main(["average", f"{folder}/law", "--last", "2"]) == 0
    return folder, command


@pytest.mark.slow
def test_a_run_and_its_average_tell_what_they_came_from(from_shell, capsys):
    folder, command = from_shell
    for path in ("law", "law/checkpoints/1", "law/average/2"):
        capsys.readouterr()
        assert main(["info", f"{folder}/{path}"]) == 0
        found = json.loads(capsys.readouterr().out)
        origin = found["initial_checkpoint"]
        assert origin["path"] == f"{eight_steps()[0]}/checkpoints/8"
        assert re.fullmatch("[0-9a-f]{16}", origin["parameters"])
        fixed = found["num_parameters"] - found["num_trained_parameters"]
        assert fixed == 300 * 32 + 4 * 32 * 32
    assert main(["info", str(eight_steps()[0])]) == 0
    assert json.loads(capsys.readouterr().out)["initial_checkpoint"] is None
    assert main(command) == 2
    assert "training.frozen: ('embedding', 'decoder/cro" in capsys.readouterr().err


@pytest.mark.slow
def test_every_command_takes_the_result_as_any_run(from_shell, capsys):
    folder, _ = from_shell
    workdir, source = f"{folder}/law", str(folder / "en")
    texts = ["--source", source, "--target", str(folder / "de"), "--no-progress"]
    for checkpoint in ("latest", "average"):
        chosen = ["--checkpoint", checkpoint]
        assert main(["evaluate", workdir, *texts, *chosen]) == 0
        assert main(["translate", workdir, "--input", source, *chosen]) == 0
        assert main(["score", workdir, *texts, *chosen]) == 0
    assert main(["info", workdir, "--verify"]) == 0


@pytest.mark.slow
def test_a_parser_is_fine_tuned_too(tmp_path):
    initial = parsing_run().workdir
    changes = {"training__num_steps": 2, "training__evaluate_every_steps": 2}
    config = parsing_config(
        tmp_path,
        training__initial_checkpoint=str(initial),
        training__frozen=("encoder",),
        **changes,
    )
    result = tj.train(config, tmp_path / "law", progress=False)
    before = load_params(checkpoint_dir(initial))
    assert_same_bits(before["encoder"], result.state.params["encoder"])
    assert "f1" in result.history[-1]
    with pytest.raises(InputError, match="its model was trained to parse"):
        tune(tmp_path / "other", initial, num_steps=1)


HOSTS = """
import jax, numpy as np
from continued_runs import OTHERS
from tiny_runs import one_layer_config
from transformer_jax.checkpoints.choosing import checkpoint_dir
from transformer_jax.checkpoints.contents import load_params
from transformer_jax.checkpoints.origin import origin_of
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.training.train import train
initial, folder = work_directory(sys.argv[5]), sys.argv[6]
def run(where, **changes):
    config = one_layer_config(
        training__initial_checkpoint=str(initial), training__num_steps=2,
        training__frozen=("embedding",), mesh__data=1, mesh__fsdp=2, mesh__tensor=2,
        **changes,
    )
    result = train(config, f"{folder}/{where}", train_pairs=OTHERS, progress=False)
    return [line["loss"] for line in result.history]
try:
    told = run("refused", model__d_ff=48)
except InputError as error:
    told = str(error)
losses = run("law")
after = work_directory(f"{folder}/law/checkpoints/2")
first, last = (load_params(path)["embedding"]["matrix"] for path in (initial, after))
same = np.array_equal(first, last)
answer([told, losses, same, origin_of(after)["step"]])
"""


@pytest.mark.long
def test_several_hosts_begin_with_the_same(tmp_path):
    initial = eight_steps()[0] / "checkpoints" / "5"
    found = []
    for processes, devices in ((1, 4), (2, 2)):
        folder = tmp_path / str(processes)
        found += answers(
            HOSTS, initial, folder, num_processes=processes, num_devices=devices
        )
    alone, *together = found
    for told, losses, same, step in together:
        assert "model.d_ff: 64 -> 48" in told
        np.testing.assert_allclose(losses, alone[1], rtol=1e-5)
        assert same
        assert step == 5
