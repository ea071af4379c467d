"""README and the pages of docs/ and benchmarks/: what they tell to run runs."""

import contextlib
import functools
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compile_flags import FEWER_OPTIMISATIONS
from test_layering import PACKAGE, ROOMS, ROOT
from tiny_runs import reversed_pairs

from transformer_jax.cli import COMMANDS, main

README = (ROOT / "README.md").read_text()
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

# Settings of `configs/own_pairs.toml` as small as a test can wait for.
SMALL = {
    "vocab_size": 300, "num_encoder_layers": 1, "num_decoder_layers": 1, "d_model": 16,
    "d_ff": 32, "num_heads": 2, "source_length": 24, "target_length": 24,
    "batch_tokens": 192, "warmup_steps": 2, "cooldown_steps": 2, "num_steps": 6,
    "checkpoint_every_steps": 1,
}  # fmt: skip


DIRECT = {"--debug", "--version", "--help"}
BENCHMARKS = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
OF_BENCHMARKS = set(re.findall(r'"(--[a-z][a-z0-9-]*)"', BENCHMARKS))


def blocks(text: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def inline_code(text: str) -> list[str]:
    """The code between the lines, each piece on one line."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [" ".join(piece.split()) for piece in re.findall(r"`([^`]*)`", prose)]


def commands(text: str) -> list[str]:
    """Each call of the program in code, on one line."""
    joined = [re.sub(r"\\?\n\s+", " ", piece) for piece in blocks(text)]
    for piece in inline_code(text):
        # Prose leaves out the program's name: `average runs/mine --last 20`.
        is_short = piece.split(" ")[0] in COMMANDS and " --" in piece
        joined.append(f"transformer-jax {piece}" if is_short else piece)
    return [
        match[1]
        for line in "\n".join(joined).splitlines()
        for match in re.finditer(r"transformer-jax ([a-z]+ [^<>&|;#']*)", line + " ")
    ]


def options_in(code: str) -> set[str]:
    """The options that code names, in square brackets too."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*", code))


@functools.cache
def options(name: str) -> set[str]:
    """The options of a command, by its help."""
    text = io.StringIO()
    with pytest.raises(SystemExit, match=r"^0$"), contextlib.redirect_stdout(text):
        main([name, "--help"])
    found = set(re.findall(r"--[a-z0-9.-]+", text.getvalue()))
    if "--data.corpora-temperature" in found:  # Tables of a file are in its help alone.
        found.add("--data.corpora.0.weight")
    return found


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_readme_shows_every_room():
    """And the five files to read first are there."""
    tree = README.split("## Where things are")[1]
    for room in ROOMS:
        if (ROOT / PACKAGE / room).is_dir():
            assert f"{room}/" in tree, room
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", tree)
    assert len(named) == 5
    assert all((ROOT / PACKAGE / name).exists() for name in named)


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@each_page
def test_commands_have_the_options_they_are_shown_with(page):
    for command in commands(page.read_text()):
        assert options_in(command) <= options(command.split()[0]), command


@each_page
def test_options_named_alone_are_those_of_a_command(page):
    known = set().union(*map(options, COMMANDS), DIRECT, OF_BENCHMARKS)
    for piece in inline_code(page.read_text()):
        if "transformer-jax " not in piece:
            assert options_in(piece) <= known, piece


def test_commands_are_found_wherever_a_page_names_them():
    wrapped = "Call `transformer-jax train\nX.toml --workdir\nrun` first."
    assert commands(wrapped) == ["train X.toml --workdir run "]
    assert commands("See `plan --topology v5e:4x4`.") == ["plan --topology v5e:4x4 "]
    assert options_in("bleu [--protocol NAME] a--b --top-k") == {
        "--protocol",
        "--top-k",
    }


@pytest.mark.slow
def test_own_sentence_pairs_as_readme_says_from_shell_and_from_python(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", "configs")
    for name, count in {"train": 200, "test": 10}.items():
        sides = zip(*reversed_pairs(count), strict=True)
        for side, texts in zip(["en", "de"], sides, strict=True):
            Path(f"{name}.{side}").write_text("".join(f"{text}\n" for text in texts))
    shutil.copy("test.en", "new.en")
    section = README.split("## Your own sentence pairs")[1]
    copy, *others = blocks(section)[0].splitlines()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XLA_FLAGS": " ".join(FEWER_OPTIMISATIONS),  # the one device there is
    }

    def run(command):
        subprocess.run(command, shell=True, check=True, env=environment)

    run(copy)
    text = Path("my.toml").read_text()
    for setting, value in SMALL.items():
        text, changed = re.subn(rf"(?m)^{setting} = .*$", f"{setting} = {value}", text)
        assert changed == 1, setting
    Path("my.toml").write_text(text)
    for command in others:
        run(command)
    assert len(Path("new.de").read_text().splitlines()) == 10

    whole, parts = blocks(README, "python")
    assert "range(1, 1_001)" in parts
    program = "\n".join(
        [
            whole,
            parts.replace("range(1, 1_001)", "range(1, 3)"),
            "assert scores['num_sentences'] == 1 and int(state.step) == 2",
            "tj.Translator.from_checkpoint('runs/own').translate(['A dog.'])",
        ]
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
