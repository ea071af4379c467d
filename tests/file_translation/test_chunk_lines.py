"""Chunks are short in time, long in lines, and no matter to what is written."""

import pytest
from test_translate import lines_of, write

from transformer_jax.errors import InputError
from transformer_jax.file_translation import chunk_lines as chunk_lines_module
from transformer_jax.file_translation.chunk_lines import ChunkLines, next_lines
from transformer_jax.file_translation.resumable_output import ResumableOutput
from transformer_jax.file_translation.translate import translate_file


@pytest.mark.parametrize(
    ("lines", "seconds", "expected"),
    [
        (64, 0.0, 2_048),
        (64, 0.5, 2_048),
        (64, 2.5, 512),
        (64, 20.0, 64),
        (256, 40.0, 128),
        (256, 3_600.0, 64),
        (2_048, 0.5, 4_096),
        (4_096, 20.0, 4_096),
        (4_096, 25.0, 3_276),
        (1, 0.1, 64),  # A chunk of one very long line.
    ],
)
def test_the_next_chunk_has_what_twenty_seconds_allow(lines, seconds, expected):
    assert next_lines(lines, seconds, least=64) == expected


def sizes(total, seconds_a_line, *, fixed=None, at_a_time=64):
    """Lines of each chunk of an input of so many lines."""
    chunk_lines, found = ChunkLines(fixed, at_a_time), []
    while sum(found) < total:
        left = total - sum(found)
        found.append(min(chunk_lines.next(left), left))
        chunk_lines.took(found[-1], found[-1] * seconds_a_line)
    return found


def test_chunks_grow_where_lines_are_fast_and_shrink_where_they_are_slow():
    assert sizes(12_000, 0.001) == [64, 2_048, 4_096, 5_792]
    assert sizes(9_000, 0.001) == [64, 2_048, 6_888]
    assert sizes(300, 1.0) == [64, 64, 64, 108]
    assert sizes(100, 1.0) == [100]
    assert sizes(4_000, 0.05) == [64] + [400] * 8 + [736]
    assert sizes(10, 0.0, fixed=4) == [4, 4, 2]


@pytest.mark.parametrize("at_a_time", [1, 64, 1_024, 100_000])
@pytest.mark.parametrize("total", [1, 63, 64, 257, 5_000])
def test_no_chunk_is_smaller_than_what_is_translated_at_a_time(total, at_a_time):
    """Batches of fewer rows would need programs of their own."""
    for seconds in (0.0, 0.3, 10.0):
        found = sizes(total, seconds, at_a_time=at_a_time)
        assert sum(found) == total
        assert min(found) >= min(at_a_time, total, 4_096)
        assert max(found) < 2 * 4_096


def test_the_end_of_a_stream_is_found_where_nobody_knows_its_length():
    assert ChunkLines(None, 64).next(None) == 64
    assert ChunkLines(None, 64).next(0) == 1  # Rows beyond the end are none.


@pytest.mark.parametrize("number", [0, -1])
def test_a_chunk_has_a_line_at_least(number):
    with pytest.raises(InputError, match=f"chunk_lines={number} must be at least 1"):
        ChunkLines(number, 64)


@pytest.fixture
def chunks_written(monkeypatch):
    """The numbers of lines that are done after each chunk."""
    found, append = [], ResumableOutput.append

    def noting(self, text, lines, input_digest):
        found.append(lines)
        append(self, text, lines, input_digest)

    monkeypatch.setattr(ResumableOutput, "append", noting)
    return found


@pytest.fixture
def no_time(monkeypatch):
    """Chunks by speed grow as if each had taken no time, up to 20 lines."""
    monkeypatch.setattr(chunk_lines_module, "_SECONDS", float("inf"))
    monkeypatch.setattr(chunk_lines_module, "MOST_LINES", 20)


@pytest.mark.slow
def test_the_output_is_the_same_whatever_the_chunks(
    translator, sources, tmp_path, chunks_written, no_time
):
    source = write(tmp_path / "in", [*sources, *sources[::-1]])
    # Two rows at a time on each of eight devices: no chunk of fewer than 16 lines.
    found = {}
    for chunk_lines, expected in (
        (5, [*range(5, 45, 5), 44]),
        (7, [7, 14, 21, 28, 35, 42, 44]),
        (None, [16, 44]),
    ):
        chunks_written.clear()
        output = tmp_path / f"out.{chunk_lines}"
        options = {"chunk_lines": chunk_lines, "batch_tokens": 64, "beam_size": 2}
        translate_file(translator, source, output, **options)
        assert chunks_written == expected
        found[chunk_lines] = output.read_bytes()
    assert found[5] == found[7] == found[None]


@pytest.mark.slow
def test_a_job_goes_on_with_chunks_of_any_other_size(
    translator, sources, tmp_path, chunks_written, no_time
):
    source = write(tmp_path / "in", [*sources, "ba " * 40])
    output, options = tmp_path / "out", {"too_long": "refuse", "batch_tokens": 32}
    with pytest.raises(InputError, match="line 23"):
        translate_file(translator, source, output, chunk_lines=5, **options)
    source = write(tmp_path / "in", 3 * sources)
    chunks_written.clear()
    taken = translate_file(translator, source, output, resume=True, **options)
    assert (taken.lines, chunks_written) == (44, [30, 66])
    assert lines_of(output) == 3 * translator.translate(sources)
