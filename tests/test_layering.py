"""Who may import whom, which door each third-party package enters by, and sizes."""

import ast
import sys
from pathlib import Path

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


def test_no_room_imports_from_a_later_one():
    assert {room_of(module) for module in TREES} <= set(ROOMS)
    wrong = [
        f"{module} must not import {name}"
        for module, tree in TREES.items()
        for name in imports_of(tree)
        if name.split(".")[0] == PACKAGE
        and FLOOR_OF[imported_room(name)] > FLOOR_OF[room_of(module)]
    ]
    assert not wrong


def test_third_party_packages_enter_by_their_door():
    wrong = [
        f"{module} must not import {name}"
        for module, tree in TREES.items()
        for name in imports_of(tree)
        if (package := name.split(".")[0])
        not in {PACKAGE, *EVERYWHERE, *sys.stdlib_module_names}
        and not {module, room_of(module)} & set(DOORS.get(package, "").split())
    ]
    assert not wrong


def test_only_devices_knows_the_mesh():
    for module, tree in TREES.items():
        if room_of(module) == "devices":
            continue
        names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(tree)}
        names |= {name.split(".")[-1] for name in imports_of(tree)}
        assert not names & {"PartitionSpec", "NamedSharding"}, module
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        called = {getattr(f, "id", getattr(f, "attr", None)) for f in calls}
        assert "Mesh" not in called, module


def test_names_and_sizes():
    wrong = []
    for module, tree in TREES.items():
        assert not BANNED_NAMES & set(module.split("."))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
                lines = node.end_lineno - node.lineno + 1 - docstring
                if lines > 60:
                    wrong.append(f"{module}.{node.name} has {lines} lines")
    assert not wrong


def test_no_file_is_longer_than_300_lines():
    folders = (ROOT / PACKAGE, ROOT / "tests", ROOT / "benchmarks")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert len(paths) > 500
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    assert not {path: lines for path, lines in lengths.items() if lines > 300}


def test_every_door_is_used():
    """A door nobody uses is a table that has drifted."""
    used = {name.split(".")[0] for tree in TREES.values() for name in imports_of(tree)}
    assert used >= set(DOORS)
