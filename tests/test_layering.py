"""Who may import whom, which door each third-party package enters by, and sizes."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "transformer_jax"

# A module imports from rows above its own, or from its own entry: the modules of a
# package named whole (model, data, decoding) may import each other, others of one row
# may not.
ROWS = (
    "errors axes hardware hlo tpu_environment host_memory evaluation.__init__ "
    "training.__init__ commands.__init__",
    "config_checks roofline workdir evaluation.moses evaluation.significance",
    "config_model config_decoding evaluation.protocols",
    "config",
    "config_io text_streams model losses metrics optimizer data decoding "
    "evaluation.bleu",
    "checkpoint_options checkpoint_contents evaluation.quality",
    "sharding distributed checkpoint",
    "reporting averaging",
    "training.state training.window",
    "training.step training.resume",
    "translation",
    "scoring",
    "evaluation.evaluate benchmark plan file_translation",
    "training.loop",
    "commands",
    "__init__ cli",
    "__main__",
)
ROW_OF = {entry: i for i, row in enumerate(ROWS) for entry in row.split()}

EVERYWHERE = {"jax", "numpy", "jaxtyping"}
DOORS = {
    "flax": "model sharding training.state",
    "optax": "optimizer training.state training.step",
    "orbax": "checkpoint checkpoint_contents checkpoint_options distributed",
    "etils": "workdir",
    "tensorflow_datasets": "data.source data.cldr",
    "grain": "data.pipeline",
    "sentencepiece": "data.tokenizer data.vocabulary",
    "babel": "data.cldr_phrases data.cldr_vocabulary",
    "sacrebleu": "evaluation.bleu evaluation.quality evaluation.significance",
    "sacremoses": "evaluation.moses",
    "cattrs": "config_io",
    "tyro": "cli commands",
    "tensorboardX": "reporting",
    "tqdm": "reporting",
}
BANNED_NAMES = {"utils", "common", "helpers", "misc", "registry"}

SOURCES = {
    ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts): path
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text()) for module, path in SOURCES.items()}
each_module = pytest.mark.parametrize("module", TREES)


def entry_of(module):
    """The longest entry of the table that names the module or a package it is in."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in ROW_OF), None)


def imports_of(tree):
    """Yields the dotted names a module imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_module(name):
    """`sharding` for `transformer_jax.sharding.make_mesh`; `__init__` for a name."""
    parts = name.split(".")[1:]
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((n for n in names if n in SOURCES), "__init__")


@each_module
def test_imports_point_one_way(module):
    entry = entry_of(module)
    assert entry, f"{module} has no place in the table"
    for name in imports_of(TREES[module]):
        if name.split(".")[0] == PACKAGE:
            imported = entry_of(own_module(name))
            assert imported == entry or ROW_OF[imported] < ROW_OF[entry], (
                f"{module} must not import {name}"
            )


@each_module
def test_third_party_packages_enter_by_their_door(module):
    for name in imports_of(TREES[module]):
        package = name.split(".")[0]
        if package not in {PACKAGE, *EVERYWHERE, *sys.stdlib_module_names}:
            doors = DOORS.get(package, "").split()
            assert module in doors or module.split(".")[0] in doors, (
                f"{module} must not import {package}"
            )


@each_module
def test_only_sharding_lays_out_devices(module):
    if module == "sharding":
        return
    tree = TREES[module]
    names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(tree)}
    names |= {name.split(".")[-1] for name in imports_of(tree)}
    assert not names & {"PartitionSpec", "NamedSharding"}
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "Mesh" not in {getattr(f, "id", getattr(f, "attr", None)) for f in calls}


@each_module
def test_names_and_sizes(module):
    assert not BANNED_NAMES & set(module.split("."))
    limit = 120 if module == "training.loop" else 60
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
            lines = node.end_lineno - node.lineno + 1 - docstring
            assert lines <= limit, f"{module}.{node.name} has {lines} lines"


@pytest.mark.parametrize(
    "path",
    [*SOURCES.values(), *sorted((ROOT / "tests").rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_longer_than_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_every_door_is_used():
    """A door nobody uses is a table that has drifted."""
    used = {name.split(".")[0] for tree in TREES.values() for name in imports_of(tree)}
    assert used >= set(DOORS)
