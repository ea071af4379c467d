"""Work directories, tokenizers and checkpoints that are none, or not whole."""

import json
import os
import shutil

import pytest
from tiny_runs import trained_run

TRANSLATE = "translate copy --input in.txt"
TRAIN = "train config.toml --workdir copy"
STEP = "copy/checkpoints/36"


def rewrite(path, contents):
    """Writes a file of a copied run; its directory stays as it is."""
    path.write_bytes(contents)


def change(path, **values):
    """Changes values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut(path):
    """Leaves the first half of a file."""
    rewrite(path, path.read_bytes()[: path.stat().st_size // 2])


def replace_by_directory(path):
    path.unlink()
    path.mkdir()


# What is done to a copy of a run, the command, and what the line has to say.
DAMAGES = {
    "config is a list": (
        lambda run: rewrite(run / "config.json", b"[]"),
        "info copy",
        "config.json",
        "must be a table",
    ),
    "config is cut": (lambda run: cut(run / "config.json"), "info copy", "config.json"),
    "config is empty": (
        lambda run: rewrite(run / "config.json", b""),
        "info copy",
        "config.json",
    ),
    "config is a directory": (
        lambda run: replace_by_directory(run / "config.json"),
        "info copy",
        "config.json",
        "cannot be read",
    ),
    "config has a wrong type": (
        lambda run: change(run / "config.json", model={"d_ff": "64"}),
        "info copy",
        "model.d_ff='64'",
        "must be an integer",
        "written by version",
    ),
    "config of a later version": (
        lambda run: change(run / "config.json", version="99", model={"mixture": 8}),
        "info copy",
        "model.mixture=8",
        "install that version",
    ),
    "config of another size": (
        lambda run: change(run / "config.json", model={"d_ff": 3 * 10**9}),
        "info copy",
        "model.d_ff=3000000000",
        "at most 2147483647",
    ),
    "no config": (
        lambda run: [
            (run / "config.json").unlink(),
            shutil.rmtree(run / "checkpoints"),
        ],
        "info copy",
        "neither a work directory nor a checkpoint",
        "config.json",
    ),
    "no checkpoints": (
        lambda run: shutil.rmtree(run / "checkpoints"),
        TRANSLATE,
        "copy has no checkpoints",
        "train into it first",
    ),
    "checkpoints is a file": (
        lambda run: (
            shutil.rmtree(run / "checkpoints"),
            (run / "checkpoints").touch(),
        ),
        TRANSLATE,
        "checkpoints",
    ),
    "only foreign files": (
        lambda run: (
            shutil.rmtree(run / "checkpoints"),
            (run / "checkpoints").mkdir(),
            (run / "checkpoints/notes.txt").touch(),
            (run / "checkpoints/backup").mkdir(),
        ),
        TRANSLATE,
        "copy has no complete checkpoint",
        "train into it first",
    ),
    "an empty checkpoint": (
        lambda run: (
            shutil.rmtree(run / "checkpoints"),
            (run / "checkpoints/36").mkdir(parents=True),
        ),
        TRANSLATE,
        "is not a checkpoint",
        "Restore it, or take another",
    ),
    "parameters are gone": (
        lambda run: shutil.rmtree(run / "checkpoints/36/params"),
        TRANSLATE,
        STEP,
        "--checkpoint",
    ),
    "tokenizer of a checkpoint is gone": (
        lambda run: shutil.rmtree(run / "checkpoints/36/tokenizer"),
        TRANSLATE,
        STEP,
        "--checkpoint",
    ),
    "settings of a checkpoint are gone": (
        lambda run: shutil.rmtree(run / "checkpoints/36/config"),
        TRANSLATE,
        STEP,
        "--checkpoint",
    ),
    "settings of a checkpoint are cut": (
        lambda run: cut(run / "checkpoints/36/config/metadata"),
        TRANSLATE,
        STEP,
        "--checkpoint",
    ),
    "every checkpoint is damaged": (
        lambda run: [cut(path) for path in run.glob("checkpoints/*/config/metadata")],
        TRAIN,
        "No checkpoint before it is whole",
        "restore one",
    ),
    "tokenizer is empty": (
        lambda run: rewrite(run / "tokenizer.model", b""),
        f"{TRAIN} --model.vocab-size 290",
        "model.vocab_size",
    ),
    "another vocabulary": (
        lambda run: None,
        f"{TRAIN} --model.vocab-size 290",
        "copy holds",
        "vocab_size",
    ),
    "another shape": (
        lambda run: None,
        f"{TRAIN} --model.d-model 64",
        "copy holds",
        "model.d_model",
    ),
    "no such step": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint 5",
        "no checkpoint 5",
        "24, 27, 36",
    ),
    "a huge step": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint 1{30 * '0'}",
        "1000",
        "or a step",
    ),
    "a negative step": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint -1",
        "--checkpoint -1",
        "or a step",
    ),
    "a step with a 0": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint 036",
        "--checkpoint 036",
        "a step",
    ),
    "no word": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint newest",
        "newest",
        "latest, best",
    ),
    "nothing": (lambda run: None, f"{TRANSLATE} --checkpoint=", "must be latest, best"),
    "no average": (
        lambda run: None,
        f"{TRANSLATE} --checkpoint average",
        "no averaged",
        "average",
    ),
    "best of no validation": (
        lambda run: [shutil.rmtree(path) for path in run.glob("checkpoints/*/metrics")],
        f"{TRANSLATE} --checkpoint best",
        "no checkpoint with validation results",
        "choose one of latest",
    ),
    "best of one checkpoint": (
        lambda run: None,
        f"translate {STEP} --input in.txt --checkpoint best",
        "is a single checkpoint",
        "leave out",
    ),
    "ensemble of nothing": (
        lambda run: None,
        f"{TRANSLATE} --ensemble nope",
        "nope has no checkpoints",
        "train into it",
    ),
    "train into a checkpoint": (
        lambda run: None,
        f"train config.toml --workdir {STEP}",
        "36",
        "name another place",
    ),
    "train into the checkpoints": (
        lambda run: None,
        "train config.toml --workdir copy/checkpoints",
        "checkpoints",
        "name another place",
    ),
    "from a step there is not": (
        lambda run: None,
        f"{TRAIN} --from-step 5",
        "--from-step",
        "24, 27, 36",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run_is_refused(what, refusals):
    damage, command, *says = DAMAGES[what]
    shutil.copytree(trained_run().workdir, "copy")
    damage(refusals.folder / "copy")
    refusals.check(*command.split(), says=tuple(says))


# Names of work directories that cannot be any.
NAMES = {
    "train config.toml --workdir in.txt": ("in.txt cannot be written (File exists)",),
    "prepare config.toml --workdir in.txt": ("in.txt cannot be written (File exists)",),
    "bench config.toml --workdir in.txt": ("in.txt cannot be written (File exists)",),
    "train config.toml --workdir in.txt/new": ("in.txt/new cannot be written", "yours"),
    "prepare config.toml --workdir in.txt/new": ("in.txt/new cannot be", "yours"),
    "train config.toml --workdir=": ("the name of the directory is empty", "give one"),
    "train config.toml --workdir gs:/bucket/run": ("has lost a slash", "gs://"),
    "train config.toml --workdir xyz://bucket": ("xyz://bucket", "gs://"),
    "train config.toml --workdir config.toml": (
        "config.toml cannot be written",
        "yours",
    ),
    "translate in.txt": ("in.txt has no checkpoints", "train into it first"),
    "translate nope": ("nope has no checkpoints", "train into it first"),
    "translate config.toml": ("config.toml has no checkpoints", "train into it"),
    "translate": ("a trained work directory", "translate --help"),
    "score nope --source in.txt --target in.txt": ("nope has no checkpoints", "train"),
    "evaluate nope": ("nope has no checkpoints", "train into it first"),
    "average nope": ("nope has no checkpoints", "train into it first"),
    "average run/checkpoints/36": ("36 has no checkpoints", "train into it first"),
    "info nope --verify": ("--verify needs a work directory", "nope"),
}


@pytest.mark.parametrize("command", NAMES)
def test_a_name_of_no_work_directory_is_refused(command, refusals):
    refusals.check(*command.split(), says=NAMES[command])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("command", ["train", "prepare"])
def test_a_directory_without_permission_is_refused(command, refusals):
    (refusals.folder / "closed").mkdir(mode=0o555)
    arguments = [command, "config.toml", "--workdir", "closed/new"]
    refusals.check(*arguments, says=("closed/new cannot be written", "yours"))
