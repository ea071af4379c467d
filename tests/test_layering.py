"""Who may import whom, which door each third-party package enters by, and sizes."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "transformer_jax"

# The rooms of the package, from the ground up: a module imports from rooms above its
# own in this list, and from its own room.
ROOMS = (
    "version",
    "errors",
    "interruption",
    "axes",
    "storage",
    "text_metrics",
    "parsing",
    "kernels",
    "cldr_corpus",
    "config",
    "tokenizer",
    "model",
    "decoding",
    "devices",
    "progress",
    "data",
    "checkpoints",
    "loss",
    "translation",
    "parser",
    "scoring",
    "attention_pictures",
    "evaluation",
    "file_translation",
    "training",
    "interop",
    "verification",
    "cost",
    "reproduction",
    "__init__",
    "commands",
    "cli",
    "__main__",
)
FLOOR_OF = {room: floor for floor, room in enumerate(ROOMS)}

EVERYWHERE = {"jax", "numpy", "jaxtyping"}
DOORS = {
    "flax": (
        "model kernels.attention devices.sharding training.state "
        "reproduction.table_1.layers"
    ),
    "optax": "training",
    "orbax": "checkpoints devices.agreement",
    "etils": "storage.work_directory",
    "tensorflow_datasets": "data.tfds_pairs data.tfds_download cldr_corpus.builder",
    "grain": "data.pipeline",
    "sentencepiece": "tokenizer",
    "babel": "cldr_corpus",
    "sacrebleu": "text_metrics",
    "sacremoses": "text_metrics.moses",
    "cattrs": "config.reading",
    "tyro": "cli commands",
    "torch": "interop",
    "transformers": "interop",
    "safetensors": "interop",
    "ctranslate2": "interop",
    "yaml": "interop.marian_directory",
    "tensorboardX": "training.tensorboard",
    "tqdm": "progress",
    "matplotlib": "attention_pictures.figure reproduction.table_1.picture",
}
BANNED_NAMES = {"utils", "common", "helpers", "misc", "registry"}

SOURCES = {
    ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts): path
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text()) for module, path in SOURCES.items()}
each_module = pytest.mark.parametrize("module", TREES)


def imports_of(tree):
    """Yields the dotted names a module imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module):
    """`devices` for `devices.sharding`."""
    return module.split(".")[0]


def imported_room(name):
    """`devices` for `transformer_jax.devices.mesh.make_mesh`; `__init__` for a name."""
    room = name.split(".")[1]
    return room if room in FLOOR_OF else "__init__"


@each_module
def test_no_room_imports_from_a_later_one(module):
    room = room_of(module)
    assert room in FLOOR_OF, f"{module} has no place in the table"
    for name in imports_of(TREES[module]):
        if name.split(".")[0] == PACKAGE:
            imported = imported_room(name)
            assert FLOOR_OF[imported] <= FLOOR_OF[room], (
                f"{module} must not import {name}"
            )


@each_module
def test_third_party_packages_enter_by_their_door(module):
    for name in imports_of(TREES[module]):
        package = name.split(".")[0]
        if package not in {PACKAGE, *EVERYWHERE, *sys.stdlib_module_names}:
            doors = DOORS.get(package, "").split()
            assert module in doors or room_of(module) in doors, (
                f"{module} must not import {package}"
            )


@each_module
def test_only_devices_knows_the_mesh(module):
    if room_of(module) == "devices":
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
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
            lines = node.end_lineno - node.lineno + 1 - docstring
            assert lines <= 60, f"{module}.{node.name} has {lines} lines"


@pytest.mark.parametrize(
    "path",
    [
        *SOURCES.values(),
        *sorted((ROOT / "tests").rglob("*.py")),
        *sorted((ROOT / "benchmarks").rglob("*.py")),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_longer_than_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_every_door_is_used():
    """A door nobody uses is a table that has drifted."""
    used = {name.split(".")[0] for tree in TREES.values() for name in imports_of(tree)}
    assert used >= set(DOORS)
