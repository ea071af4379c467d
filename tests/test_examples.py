"""The example of every public name runs, and docs/api.md lists every name."""

import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import one_layer_config, reversed_pairs, trained_run
from tiny_treebank import parsing_run

import transformer_jax as tj

API = Path(__file__).resolve().parents[1] / "docs" / "api.md"

# In a process of their own: they must come before anything uses a device.
IN_OWN_PROCESS = ("initialize_distributed",)
PROGRAM = """
import doctest, sys
import transformer_jax as tj
name = sys.argv[1]
(test,) = doctest.DocTestFinder().find(getattr(tj, name), name, globs={"tj": tj})
result = doctest.DocTestRunner().run(test)
assert result.attempted and not result.failed, result
"""


def examples_of(name):
    """Returns the examples in the docstrings of a name and of its methods."""
    found = doctest.DocTestFinder().find(getattr(tj, name), name, globs={})
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """The variables that docs/api.md promises for the examples."""
    trained = trained_run()
    workdir = tmp_path_factory.mktemp("examples") / "run"
    shutil.copytree(trained.workdir, workdir)
    return {
        "config": one_layer_config(training__num_steps=2),
        "pairs": reversed_pairs(50),
        "workdir": workdir,
        "parsing_workdir": parsing_run().workdir,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", tj.__all__)
def test_the_example_of_each_public_name_runs(name, variables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in IN_OWN_PROCESS:
        root = str(API.parents[1])
        path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", PROGRAM, name]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path})
        return
    for test in examples_of(name):
        test.globs = {"tj": tj, **variables}
        told = []
        result = doctest.DocTestRunner().run(test, out=told.append)
        assert not result.failed, "".join(told)


@pytest.mark.parametrize("name", tj.__all__)
def test_each_public_name_has_an_example_that_can_be_read(name):
    assert examples_of(name)


def test_every_method_of_a_translator_has_an_example():
    documented = {test.name.split(".")[-1] for test in examples_of("Translator")}
    methods = {"from_checkpoint", "translate", "n_best", "attention"}
    assert methods <= documented


@pytest.mark.parametrize("name", tj.__all__)
def test_what_a_name_raises_stands_in_its_docstring(name):
    public = getattr(tj, name)
    if public is tj.InputError:
        return
    source = inspect.getsource(public)
    if re.search(r"\braise \w+Error|\brequire_\w+\(|\bcheck_\w+\(", source):
        assert re.search(r"Raises:\n +\w+Error: ", source), name


def test_the_table_of_the_api_lists_every_public_name_once():
    names = re.findall(r"^\| `([\w]+)", API.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(names) == tj.__all__
