"""What translate, score and evaluate say of the checkpoint they used."""

import json
import shutil

import pytest
from tiny_runs import trained_run

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.cli import main


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A copy of the run that tests share, for averages of its own."""
    copy = tmp_path_factory.mktemp("noted") / "run"
    shutil.copytree(trained_run().workdir, copy)
    return copy


@pytest.fixture
def arguments(tmp_path):
    """The arguments of each command, but for the work directory."""
    for name in ("source", "target"):
        (tmp_path / name).write_text("ba be\nbi\n")
    files = ["--source", f"{tmp_path}/source", "--target", f"{tmp_path}/target"]
    return {
        "translate": ["--input", f"{tmp_path}/source"],
        "score": files,
        "evaluate": files,
    }


def told(capsys, command, *arguments):
    """Returns standard output, and the lines of standard error that name a model."""
    assert main([command, *map(str, arguments), "--no-progress"]) == 0
    printed = capsys.readouterr()
    notes = [line for line in printed.err.splitlines() if line.startswith("model: ")]
    return printed.out, notes


@pytest.mark.parametrize("command", ["translate", "score", "evaluate"])
def test_a_command_says_which_checkpoint_it_used(command, workdir, arguments, capsys):
    shutil.rmtree(workdir / "average", ignore_errors=True)
    given = [workdir, *arguments[command]]
    output, notes = told(capsys, command, *given)
    assert notes == [f"model: {workdir}, checkpoint of step 36 (latest)"]
    # Standard output has nothing of it.
    assert "model: " not in output
    if command == "evaluate":
        assert json.loads(output)["checkpoint"] == "latest"

    average_checkpoints(workdir, 2)
    again, notes = told(capsys, command, *given)
    assert again == output
    assert notes == [
        f"model: {workdir}, checkpoint of step 36 (latest); there is an average of "
        "steps up to 36: --checkpoint average"
    ]
    _, notes = told(capsys, command, *given, "--checkpoint", "average")
    assert notes == [f"model: {workdir}, average of steps 27, 36"]


@pytest.mark.slow
def test_each_kind_of_choice(workdir, arguments, capsys):
    best = trained_run().result.history
    losses = {line["step"]: line["loss"] for line in best if line["kind"] != "train"}
    step = min(losses, key=losses.get)
    given = arguments["translate"]
    for choice, expected in {
        "best": f"model: {workdir}, checkpoint of step {step} (best)",
        "27": f"model: {workdir}, checkpoint of step 27",
    }.items():
        _, notes = told(capsys, "translate", workdir, *given, "--checkpoint", choice)
        assert notes == [expected]
    alone = workdir / "checkpoints" / "36"
    _, notes = told(capsys, "translate", alone, *given)
    assert notes == [f"model: {alone}, checkpoint of step 36"]
    elsewhere = shutil.copytree(alone, workdir.parent / "elsewhere")
    _, notes = told(capsys, "translate", elsewhere, *given)
    assert notes == [f"model: {elsewhere}, a single checkpoint"]
    mean = average_checkpoints(workdir, 2, output=workdir.parent / "mean")
    _, notes = told(capsys, "translate", alone, *given, "--ensemble", mean)
    assert notes == [
        f"model: {alone}, checkpoint of step 36",
        f"model: {mean}, average of steps 27, 36",
    ]


def test_an_average_that_is_older_is_no_advice(workdir, arguments, capsys):
    shutil.rmtree(workdir / "average", ignore_errors=True)
    average_checkpoints(workdir, steps=[24, 27])
    _, notes = told(capsys, "translate", workdir, *arguments["translate"])
    assert notes == [f"model: {workdir}, checkpoint of step 36 (latest)"]
    # A damaged one is no concern of those who do not ask for it.
    average_checkpoints(workdir, 2)
    for path in (workdir / "average").rglob("metadata"):
        path.write_text("{")
    _, notes = told(capsys, "translate", workdir, *arguments["translate"])
    assert notes == [f"model: {workdir}, checkpoint of step 36 (latest)"]
