"""The one check of every bad input: a line that helps, and nothing has changed."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.cli import main
from transformer_jax.errors import InputError

CONFIG = """\
[model]
vocab_size = 300
d_model = 16
d_ff = 32
num_heads = 2
num_encoder_layers = 1
num_decoder_layers = 1

[data]
train_source_path = "train.source"
train_target_path = "train.target"
validation_source_path = "validation.source"
validation_target_path = "validation.target"
source_length = 24
target_length = 24
batch_tokens = 192
prefetch_batches = 2

[training]
num_steps = 2
"""


def make_world(folder: Path) -> None:
    """Writes what commands need: settings, texts, and `run`, a link to a trained run.

    Tests only read the run: others share it.
    """
    (folder / "config.toml").write_text(CONFIG)
    for split, number in ("train", 120), ("validation", 6):
        pairs = reversed_pairs(number)
        for side, name in enumerate(("source", "target")):
            text = "".join(pair[side] + "\n" for pair in pairs)
            (folder / f"{split}.{name}").write_text(text)
    (folder / "in.txt").write_text("ba be\nko ku mi\n")
    (folder / "run").symlink_to(trained_run().workdir)


def tree_of(folder: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Returns name, mode and contents of everything in a folder."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            if name == "lock.json":  # Of a test beside this one that opens the run.
                continue
            contents: bytes | str | None = None
            if path.is_symlink():
                contents = os.readlink(path)
            elif path.is_file() and os.access(path, os.R_OK):
                contents = path.read_bytes()
            found[str(path)] = path.lstat().st_mode, contents
    return found


class Refusals:
    """Checks that commands refuse bad input, run in a folder of their own."""

    def __init__(self, folder: Path, capsys, monkeypatch) -> None:
        self.folder = folder
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def check(self, *arguments: object, says: tuple[str, ...], stdin: bytes = b""):
        """Runs a command: code 2, and one line with all words of `says`.

        Standard output is empty, and neither the folder nor the shared run changes.
        """
        stream = io.TextIOWrapper(io.BytesIO(stdin))
        self._monkeypatch.setattr(sys, "stdin", stream)
        folders = self.folder, trained_run().workdir
        before = [tree_of(each) for each in folders]
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = self._capsys.readouterr()
        assert code == 2, printed.err
        assert "Traceback" not in printed.err, printed.err
        complaints = [
            line
            for line in printed.err.splitlines()
            if line.startswith("transformer-jax: ")
        ]
        assert complaints == printed.err.splitlines()[-1:], printed.err
        assert not set("╭╮╰╯│─") & set(complaints[0])  # The parser draws boxes.
        for words in says:
            assert words in complaints[0], complaints[0]
        assert printed.out == ""
        after = [tree_of(each) for each in folders]
        assert after == before, [
            set(a) ^ set(b) for a, b in zip(after, before, strict=True)
        ]


def check_call(call: Callable[[], object], says: str, folder: Path) -> None:
    """Checks that a call raises InputError: one line that a pattern is found in.

    Args:
        folder: the current directory, empty; it gets what commands need. Neither it nor
            the shared run changes.
    """
    make_world(folder)
    folders = folder, trained_run().workdir
    before = [tree_of(each) for each in folders]
    with pytest.raises(InputError) as error:
        call()
    line = str(error.value)
    assert re.search(says, line), line
    assert "\n" not in line
    assert len(line) < 600
    assert [tree_of(each) for each in folders] == before
