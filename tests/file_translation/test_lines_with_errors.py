"""A line that cannot be used is named by its number; the others are translated."""

import json

import pytest
from test_translate import files, lines_of, write
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.cli import main
from transformer_jax.errors import InputError
from transformer_jax.file_translation.translate import translate_file

SOURCES = [source for source, _ in reversed_pairs(12, seed=5)]
LONG = "ba " * 40
OPTIONS = {"too_long": "refuse", "max_source_tokens": 20, "progress": False}


def with_lines(path, changed: dict):
    """Writes the sources, some of them changed, by their number from 1."""
    lines = [line.encode() for line in SOURCES]
    for number, line in changed.items():
        lines[number - 1] = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@pytest.mark.parametrize("chunk_lines", [5, 100])
def test_lines_before_the_one_that_stops_are_done(translator, chunk_lines, tmp_path):
    source, output = with_lines(tmp_path / "in", {8: LONG, 10: LONG}), tmp_path / "out"
    options = {**OPTIONS, "chunk_lines": chunk_lines}
    with pytest.raises(InputError, match=r"in: line 8 has \d+ tokens, more than"):
        translate_file(translator, source, output, **options)
    assert len(lines_of(tmp_path / "out.partial")) == 7
    with_lines(source, {10: LONG})
    with pytest.raises(InputError, match=r"in: line 10 has"):
        translate_file(translator, source, output, resume=True, **options)
    with_lines(source, {})
    translate_file(translator, source, output, resume=True, **options)
    assert lines_of(output) == translator.translate(SOURCES)


BAD = {2: LONG, 5: b"ba \xff be", 11: LONG, 12: b"\xc3"}


def test_a_job_that_stopped_goes_on_with_skipping_and_not_back(translator, tmp_path):
    source, output = with_lines(tmp_path / "in", {8: LONG, 10: LONG}), tmp_path / "out"
    with pytest.raises(InputError, match="in: line 8 has"):
        translate_file(translator, source, output, **OPTIONS)
    options = {**OPTIONS, "resume": True}
    done = translate_file(translator, source, output, on_error="skip", **options)
    assert (done.lines, done.counts.skipped.first) == (5, [8, 10])
    expected = translator.translate(SOURCES)
    expected[7] = expected[9] = ""
    assert lines_of(output) == expected
    with pytest.raises(InputError, match="out was made with on_error=skip, not stop"):
        translate_file(translator, source, output, **options)


@pytest.mark.parametrize("chunk_lines", [3, 100])
def test_lines_are_skipped_and_counted(translator, chunk_lines, tmp_path):
    source, output = with_lines(tmp_path / "in", BAD), tmp_path / "out"
    done = translate_file(
        translator, source, output, on_error="skip", chunk_lines=chunk_lines, **OPTIONS
    )
    expected = translator.translate(SOURCES)
    for number in BAD:
        expected[number - 1] = ""
    assert lines_of(output) == expected
    assert done.counts.skipped.first == [2, 5, 11, 12]
    assert (done.lines, done.counts.skipped.number) == (12, 4)


def test_a_record_says_why(translator, tmp_path):
    source, output = with_lines(tmp_path / "in", BAD), tmp_path / "out"
    options = {"on_error": "skip", "format": "jsonl", **OPTIONS}
    translate_file(translator, source, output, **options)
    records = [json.loads(line) for line in lines_of(output)]
    assert [record["line"] for record in records] == list(range(1, 13))
    why = {record["line"]: record["error"] for record in records if "error" in record}
    assert list(why) == [2, 5, 11, 12]
    assert why[5] == "is not UTF-8 (byte 0xff): convert the file to UTF-8."
    assert "more than decoding.max_source_tokens=20" in why[2]
    assert records[4]["source"] == "ba \ufffd be"


@pytest.mark.slow
def test_a_prefix_that_fills_the_output(translator, tmp_path):
    source, output = with_lines(tmp_path / "in", {}), tmp_path / "out"
    prefixes = ["ba" if n != 6 else "ko " * 60 for n in range(12)]
    options = {"prefixes": write(tmp_path / "prefixes", prefixes), "progress": False}
    with pytest.raises(InputError, match=r"in: line 7 has a prefix of \d+ tokens, but"):
        translate_file(translator, source, output, **options)
    (tmp_path / "out.partial").unlink()
    done = translate_file(translator, source, output, on_error="skip", **options)
    assert done.counts.skipped.first == [7]
    assert [n for n, line in enumerate(lines_of(output), 1) if not line] == [7]
    prefixes = write(tmp_path / "prefixes", ["ba"] * 12)
    prefixes.write_bytes(prefixes.read_bytes()[:-3] + b"\xff\n")
    with pytest.raises(InputError, match="prefixes, line 12: not UTF-8"):
        translate_file(translator, source, output, **options)


def test_what_is_not_utf8_stops_before_the_work(translator, tmp_path):
    source = with_lines(tmp_path / "in", BAD)
    with pytest.raises(InputError, match="in, line 5: not UTF-8"):
        translate_file(translator, source, tmp_path / "out", **OPTIONS)
    assert files(tmp_path) == ["in"]


@pytest.mark.slow
def test_translations_without_an_end_are_counted_and_told(translator, tmp_path, capsys):
    source = str(with_lines(tmp_path / "in", {}))
    options = {"max_extra_length": 1, "min_length": 30}
    found = translator.n_best(SOURCES, 1, **options)
    cut = [n for n, (best,) in enumerate(found, 1) if not best.is_finished]
    done = translate_file(translator, source, tmp_path / "out", **options)
    assert cut
    assert done.counts.unfinished.number == len(cut)
    assert done.counts.unfinished.first == cut[:5]
    workdir = str(trained_run().workdir)
    flags = ["--max-extra-length", "1", "--min-length", "30"]
    assert main(["translate", workdir, "--input", source, *flags]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    shown = ", ".join(map(str, cut[:5])) + (", ..." if len(cut) > 5 else "")
    what = "translations cut at their greatest length"
    assert told == f"{what}: {len(cut)} (line {shown})"
