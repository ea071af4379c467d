"""Files of any lines come out line for line, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.errors import InputError
from transformer_jax.file_translation.parts import join_parts, part_path
from transformer_jax.file_translation.translate import translate_file
from transformer_jax.scoring.alignment import align
from transformer_jax.translation.translator import Translator

# What lines may hold: nothing, spaces, control characters, what ends a line elsewhere,
# scripts that are written from the right, emoji, and all too much.
STRANGE = [
    "",
    " \t ",
    "ba\x00be\x07\x1b[1m",
    "ko\u2028ku\u2029ki\x85ka\x0bke\x0cko\rku\x1c\x1d\x1eba",
    "שלום \u202eעולם\u202c مرحبا",  # noqa: RUF001
    "\U0001f469\u200d\U0001f52c ba \U0001f600",
    "e\u0301" * 50,
    "ba be. " * 1_500,
    "x" * 10_000,
    "\ufeff\u200b",
    "mi\r",
    "ba be bi",
]


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
    return path


def lines_of(path):
    text = path.read_bytes().decode()
    assert text.endswith("\n") or not text
    return text.split("\n")[:-1]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_line_is_translated_as_by_itself(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", sources), tmp_path / "out"
    taken = translate_file(translator, source, output, chunk_lines=5)
    assert lines_of(output) == translator.translate(sources)
    assert taken.lines == len(sources)
    assert taken.lines_per_second == taken.lines / taken.seconds
    assert files(tmp_path) == ["in", "out"]
    # All programs are there by now.
    assert translate_file(translator, source, output, chunk_lines=5).compilations == 0


@pytest.mark.parametrize("format", ["text", "jsonl"])
def test_strange_lines_each_come_out_as_one(translator, tmp_path, format):
    source, output = write(tmp_path / "in", STRANGE), tmp_path / "out"
    options = {"format": format, "beam_size": 2, "max_extra_length": 5}
    translate_file(translator, source, output, **options)
    lines = lines_of(output)
    assert len(lines) == len(STRANGE)
    read_as_text = output.read_text("utf-8").split("\n")[:-1]
    assert len(read_as_text) == len(STRANGE)  # A lone \r ends a line for Python.
    if format == "jsonl":
        records = [json.loads(line) for line in output.read_text().splitlines()]
        assert [r["line"] for r in records] == list(range(1, len(STRANGE) + 1))
        read = [line.removesuffix("\r") for line in STRANGE]
        assert [r["source"] for r in records] == read
        lines = [record["text"] for record in records]
    assert lines[0] == lines[1] == ""
    # As long as the parts together, so that none was left out.
    assert len(lines[7].split()) > 100
    assert lines[10] == translator.translate(["mi"], beam_size=2)[0]


def test_an_empty_file_and_a_last_line_without_its_end(translator, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"")
    assert translate_file(translator, source, output).lines == 0
    assert output.read_bytes() == b""
    source.write_bytes(b"ba be\nko")
    translate_file(translator, source, output)
    assert lines_of(output) == translator.translate(["ba be", "ko"])


def test_n_best_and_alignments(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", sources[:3]), tmp_path / "out"
    translate_file(translator, source, output, n_best=2, alignments=True)
    expected = translator.n_best(sources[:3], 2)
    fields = [line.split("\t") for line in lines_of(output)]
    assert [f[0] for f in fields] == ["1", "1", "2", "2", "3", "3"]
    flat = [each for translations in expected for each in translations]
    assert [f[1:3] for f in fields] == [[f"{t.score:.4f}", t.text] for t in flat]
    for (*_, text, links), translation in zip(fields, flat, strict=True):
        assert len(links.split()) == len(text.split()) == len(translation.text.split())
    translate_file(translator, source, output, alignments=True, format="jsonl")
    records = [json.loads(line) for line in lines_of(output)]
    assert [r["alignment"] for r in records] == [f[3] for f in fields[::2]]


@pytest.mark.slow
def test_a_line_in_parts_has_the_links_of_its_parts(translator, sources, tmp_path):
    long = " ".join(f"{source}. Ko ba." for source in sources)
    source, output = write(tmp_path / "in", [sources[0], long]), tmp_path / "out"
    options = {"min_length": 6, "max_extra_length": 5, "max_source_tokens": 48}
    translate_file(
        translator, source, output, alignments=True, format="jsonl", **options
    )
    record = json.loads(lines_of(output)[1])
    ((best,),) = translator.n_best([long], 1, **options)
    assert len(best.parts) > 3
    assert "parts" not in record
    assert record["text"] == best.text
    expected, before = [], [0, 0]
    for part, text in best.parts:
        for first, second in align(translator, [part], [text], **options)[0]:
            expected.append(f"{first + before[0]}-{second + before[1]}")
        before = [before[0] + len(part.split()), before[1] + len(text.split())]
    assert before == [len(long.split()), len(best.text.split())]
    assert record["alignment"].split() == expected
    assert len(expected) == before[1] > len(best.parts)


def test_each_line_begins_with_its_prefix(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", sources[:6]), tmp_path / "out"
    wanted = ["ba", "", "ko ku", "", "", "mi"]
    prefixes = write(tmp_path / "prefixes", wanted)
    translate_file(translator, source, output, prefixes=prefixes, chunk_lines=4)
    expected = translator.translate(sources[:6], prefixes=wanted)
    assert lines_of(output) == expected
    assert all(map(str.startswith, expected, wanted))
    write(prefixes, wanted[:5])
    with pytest.raises(InputError, match=r"prefixes has 5 lines, but .*in has 6"):
        translate_file(translator, source, output, prefixes=prefixes)


def test_a_line_that_is_too_long_is_refused_by_number(translator, sources, tmp_path):
    source = write(tmp_path / "in", [*sources[:6], "ba " * 30])
    options = {"too_long": "refuse", "chunk_lines": 4}
    with pytest.raises(InputError, match=r"in: line 7 has \d+ tokens, more than"):
        translate_file(translator, source, tmp_path / "out", **options)
    assert files(tmp_path) == ["in", "out.partial", "out.partial.json"]
    assert len(lines_of(tmp_path / "out.partial")) == 6


# Little to compile.
KILLED = {"chunk_lines": 2, "n_best": 2, "beam_size": 2, "max_extra_length": 5}


def killed_while_writing(source, output, after_bytes):
    """Translates in another process, which is killed when so much is written."""
    program = (
        "import sys\n"
        "from transformer_jax.file_translation.translate import translate_file\n"
        "from transformer_jax.translation.translator import Translator\n"
        "workdir, source, output = sys.argv[1:]\n"
        "translator = Translator.from_checkpoint(workdir)\n"
        f"translate_file(translator, source, output, **{KILLED})\n"
    )
    arguments = [str(trained_run().workdir), str(source), str(output)]
    compiled = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=os.environ | compiled
    )
    partial = part_path(output, (0, 1))
    while not partial.exists() or partial.stat().st_size < after_bytes:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_job_killed_while_writing_continues_to_the_same_file(translator, tmp_path):
    # So many lines that it cannot be done before it is killed.
    sources = [source for source, _ in reversed_pairs(100, seed=6, longest=2)]
    source, output = write(tmp_path / "in", sources), tmp_path / "out"
    killed_while_writing(source, output, 200)
    partial = part_path(output, (0, 1))
    done = len({line.split("\t")[0] for line in lines_of(partial)})
    assert 0 < done < 100
    write(source, reversed(sources))
    with pytest.raises(InputError, match="does not begin with the"):
        translate_file(translator, source, output, resume=True, **KILLED)
    write(source, sources)
    with pytest.raises(InputError, match="begun with n_best=2, not 1"):
        translate_file(translator, source, output, resume=True)
    with pytest.raises(InputError, match="add resume=True"):
        translate_file(translator, source, output, **KILLED)
    # As if it had been killed in the middle of writing a line.
    with partial.open("ab") as file:
        file.write(b"half a li")
    taken = translate_file(translator, source, output, resume=True, **KILLED)
    assert 100 - done <= taken.lines < 100
    whole = tmp_path / "whole"
    translate_file(translator, source, whole, **KILLED)
    assert output.read_bytes() == whole.read_bytes()
    assert files(tmp_path) == ["in", "out", "out.complete.json", "whole"]


def test_another_model_does_not_continue(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", [*sources, "ba " * 30]), tmp_path / "out"
    options = {"too_long": "refuse", "chunk_lines": 4}
    with pytest.raises(InputError, match="line 23"):
        translate_file(translator, source, output, **options)
    earlier = Translator.from_checkpoint(trained_run().workdir, 27)
    with pytest.raises(InputError, match="begun with model="):
        translate_file(earlier, source, output, resume=True, **options)
    write(source, sources)  # The line is gone; what was done is as it was.
    translate_file(translator, source, output, resume=True, **options)
    assert lines_of(output) == translator.translate(sources)


def test_parts_make_the_same_file(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", sources), tmp_path / "out"
    options = {"chunk_lines": 3, "format": "jsonl"}
    for index in (2, 0, 1):
        translate_file(translator, source, output, part=(index, 3), **options)
    lengths = [len(lines_of(part_path(output, (i, 3)))) for i in range(3)]
    assert lengths == [7, 7, 8]
    with pytest.raises(InputError, match=r"interrupted job of 3 processes, not 1"):
        translate_file(translator, source, output, **options)
    # A part that is complete is not done again.
    again = translate_file(
        translator, source, output, part=(1, 3), resume=True, **options
    )
    assert again.lines == 0
    join_parts(output, 3)
    together = [json.loads(line) for line in lines_of(output)]
    translate_file(translator, source, output, **options)
    alone = [json.loads(line) for line in lines_of(output)]
    for one, other in zip(together, alone, strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), rel=1e-5)
        assert one == other
    assert files(tmp_path) == ["in", "out"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"input": None, "part": (0, 2)}, "several processes cannot share"),
        ({"output": None, "part": (0, 2)}, "several processes cannot share"),
        ({"part": (2, 2)}, "part="),
        ({"output": None, "resume": True}, "give a file as output= with resume=True"),
        ({"output": Path("/")}, "/: cannot be written .Is a directory"),
        (
            {"output": Path("/dev/null"), "resume": True},
            "/dev/null cannot be continued",
        ),
        ({"chunk_lines": 0}, "chunk_lines=0"),
        ({"n_best": 50}, "beam_size"),
        ({"format": "json"}, "format='json' must be one of 'text', 'jsonl'"),
        ({"beam_sise": 2}, r"beam_sise is not .* did you mean beam_size\?"),
        ({"output": None, "beam_sise": 2}, r"did you mean beam_size\?"),
    ],
)
def test_what_does_not_fit_is_refused(translator, tmp_path, arguments, expected):
    source = write(tmp_path / "in", ["ba"])
    arguments = {"input": source, "output": tmp_path / "out"} | arguments
    with pytest.raises(InputError, match=expected):
        translate_file(translator, **arguments)
    assert files(tmp_path) == ["in"]
