"""The package as users install it: its files, its commands, its types for checkers."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from shared_folder import SHARED

import transformer_jax

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import transformer_jax as tj
from transformer_jax import Translator

config = tj.ExperimentConfig(model=tj.ModelConfig.base())
result: tj.TrainResult = tj.train(config, workdir="run")
translator: Translator = tj.Translator.from_checkpoint("run", "best")
sentences: list[str] = translator.translate(["a"], beam_size=1, top_k=None)
x: int = translator.translate(["a"])  # wrong: another type
translator.translate(["a"], beam_sise=1)  # wrong: a misspelt setting
tj.train(config)  # wrong: no workdir
tj.translate  # wrong: no such name
"""


CHECKERS = {
    "mypy": ("mypy", "--strict", "--python-executable"),
    "pyright": ("basedpyright", "--level", "error", "--pythonpath"),
}


def run(*command, **options):
    """Returns the finished process of a command, run outside the repository."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # What mypy finds out about the dependencies holds for every installation.
    environment["MYPY_CACHE_DIR"] = str(SHARED / "mypy")
    return subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True,
        **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a build reads, so that the build leaves the repository alone."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    caches = shutil.ignore_patterns("__pycache__")
    for name in ("transformer_jax", "configs"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=caches)
    return source


@pytest.fixture(
    scope="module",
    params=["wheel", pytest.param("editable", marks=pytest.mark.long)],
)
def python(request, source, tmp_path_factory):
    """An environment's Python; the package is installed in it as a wheel or editable.

    Its dependencies are those of the Python that runs the tests.
    """
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    ours = sysconfig.get_path("purelib")
    (packages / "dependencies.pth").write_text(f"{ours}\n")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    install = (sys.executable, "-m", "pip", "--python", python, "install", *offline)
    if request.param == "wheel":
        wheel = (sys.executable, "-m", "pip", "wheel", *offline, source, "-w", folder)
        built = run(*wheel, cwd=folder)
        assert built.returncode == 0, built.stderr
        (what,) = folder.glob("*.whl")
        how = (what,)
    else:
        how = ("--editable", source)
    installed = run(*install, "--ignore-installed", *how, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return python


def test_checkers_see_the_public_names_that_python_has():
    tree = ast.parse(Path(transformer_jax.__file__).read_text(encoding="utf-8"))
    (checked,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(checked)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = transformer_jax._HOME_OF
    assert seen == {
        name: f"transformer_jax.{home}.{name}" for name, home in homes.items()
    }
    assert all(getattr(transformer_jax, name) for name in homes)


@pytest.mark.slow
def test_an_installed_package_works_outside_the_repository(python, tmp_path):
    command = python.parent / "transformer-jax"
    info = run(command, "info", ROOT / "configs" / "multi30k_en_de.toml", cwd=tmp_path)
    assert info.returncode == 0, info.stderr
    assert '"num_parameters"' in info.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker", ["pyright", pytest.param("mypy", marks=pytest.mark.long)]
)
def test_a_type_checker_finds_each_wrong_line_and_no_other(checker, python, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    checked = run(
        sys.executable, "-m", *CHECKERS[checker], python, script, cwd=tmp_path
    )
    found = re.findall(r"script\.py:(\d+):.* error", checked.stdout)
    lines = SCRIPT.splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if "# wrong" in line]
    assert [int(number) for number in found] == wrong, checked.stdout + checked.stderr


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_constraints_pin_what_is_installed_on_each_python(version):
    environment = {"python_version": version, "extra": ""}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["notebook"], *extras["test"]]
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    apply = [pin for pin in pins if not pin.marker or pin.marker.evaluate(environment)]
    versions = {pin.name: str(pin.specifier).removeprefix("==") for pin in apply}
    assert len(versions) == len(apply)
    for requirement in map(Requirement, wanted):
        ours = requirement.name == project["name"]
        marker = requirement.marker
        if not ours and (marker is None or marker.evaluate(environment)):
            assert requirement.specifier.contains(versions[requirement.name])
