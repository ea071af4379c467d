"""Translates files of any size line by line; what is done need not be done again."""

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import jax

from transformer_jax.devices.agreement import (
    all_together,
    require_agreement,
    sum_of_all_hosts,
)
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.joining import is_primary
from transformer_jax.errors import InputError
from transformer_jax.file_translation.input_rows import (
    CHUNK_LINES,
    Row,
    chunks,
    name_of,
    open_rows,
    skip,
)
from transformer_jax.file_translation.job import Job
from transformer_jax.file_translation.lines import LineFormat, written
from transformer_jax.file_translation.parts import join_parts
from transformer_jax.file_translation.resumable_output import (
    Journal,
    ResumableOutput,
    finish,
    open_resumable,
)
from transformer_jax.progress import sentence_bar
from transformer_jax.scoring.alignment import Links, align
from transformer_jax.storage.text_streams import count_lines
from transformer_jax.translation.long_sentences import TooLongError
from transformer_jax.translation.results import Translation
from transformer_jax.translation.translator import Translator


@dataclass(frozen=True)
class FileTranslation:
    """What a file took. Lines that an interrupted job had translated do not count."""

    lines: int
    seconds: float
    compilations: int
    """Programs compiled by XLA."""

    @property
    def lines_per_second(self) -> float:
        """Lines translated in a second."""
        return self.lines / self.seconds


def translate_file(
    translator: Translator,
    input: str | Path | None,
    output: str | Path | None,
    *,
    n_best: int = 1,
    format: Literal["text", "jsonl"] = "text",
    alignments: bool = False,
    prefixes: str | Path | None = None,
    resume: bool = False,
    part: tuple[int, int] | None = None,
    chunk_lines: int = CHUNK_LINES,
    progress: bool = True,
    **decoding: Any,
) -> FileTranslation:
    r"""Writes the translation of each line of a file, in their order.

    Only \n and \r\n end a line, and each line of the input is one of the output, or
    as many as translations are asked for. The output appears when it is complete;
    until then it grows in whole chunks as `OUTPUT.partial`, which an interruption
    leaves.

    Of several processes, which must all call it, each with a translator on its own
    devices, each translates about as many lines, and the primary joins the parts.

    Args:
        input: text, plain or .gz; None = standard input.
        output: None = standard output.
        n_best: translations of each line, best first.
        format: text, or JSON objects; see `translated_lines.written`.
        alignments: adds which source word each word comes from.
        prefixes: file with what each translation has to begin with, one a line.
        resume: go on where an interrupted job has stopped; the result is the same.
        part: translate only part i of n, into `output_parts.part_path`; when all are
            done, `output_parts.join_parts` makes the output of them.
        chunk_lines: lines translated together, and written together.
        progress: show a bar, on a terminal.
        decoding: fields of `DecodingConfig` in place of the configured ones.

    Raises:
        InputError: a file cannot be read or written, is not UTF-8, or is not the one
            that an interrupted job has begun; or a line is too long and
            `decoding.too_long="refuse"`.
    """
    together = part is None
    with all_together("reading --input") if together else contextlib.nullcontext():
        job = Job(
            translator=translator,
            input=None if input is None else Path(input),
            output=None if output is None else Path(output),
            prefixes=None if prefixes is None else Path(prefixes),
            line_format=LineFormat(format=format, n_best=n_best, alignments=alignments),
            part=part or (jax.process_index(), jax.process_count()),
            total=None if input is None else count_lines(Path(input)),
            resume=resume,
            chunk_lines=chunk_lines,
            progress=progress,
            decoding=decoding,
        )
        job.check()
    return _run_together(job) if together else _run(job)


def _run_together(job: Job) -> FileTranslation:
    """Translates this process's part; returns what all have done, when they have."""
    count = job.part[1]
    start = time.perf_counter()
    settings = {name: str(value) for name, value in job.settings.items()}
    require_agreement(
        "arguments and --input", {"lines of --input": str(job.total), **settings}
    )
    with all_together("translation"):
        taken = _run(job)
    with all_together("joining the parts"):
        if count > 1 and job.output is not None and is_primary():
            join_parts(job.output, count)
    lines, seconds = sum_of_all_hosts(taken.lines), time.perf_counter() - start
    return dataclasses.replace(taken, lines=lines, seconds=seconds)


def _run(job: Job) -> FileTranslation:
    """Translates one part of a file into its own file."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        compiled = CompileCounter()
        stack.callback(compiled.close)
        rows = stack.enter_context(open_rows(job.input, job.prefixes))
        rows = itertools.islice(rows, job.first, job.last)
        out = stack.enter_context(_open_output(job))
        before = done = out.journal.lines
        digest = skip(rows, done, out.journal.input_digest)
        if digest is None:
            raise InputError(
                f"{name_of(job.input)} does not begin with the {done} lines that an "
                "interrupted job has translated: give the same file, or delete "
                f"{job.own_path} to begin anew."
            )
        total = None if job.last is None else job.last - job.first
        bar = stack.enter_context(sentence_bar(total, done, job.progress))
        for chunk in chunks(rows, job.chunk_lines):
            text = _translated(chunk, job.first + done + 1, job)
            done += len(chunk)
            digest.add(chunk)
            out.append(text, done, str(digest))
            bar.update(len(chunk))
    if job.output is not None and job.part[1] == 1:
        finish(job.own_path, job.output)
    return FileTranslation(done - before, time.perf_counter() - start, compiled.count)


def _translated(chunk: Sequence[Row], number: int, job: Job) -> str:
    """Returns what is written for a chunk whose first line has this number."""
    sources, prefixes = map(list, zip(*chunk, strict=True))
    try:
        found = job.translator.n_best(
            sources,
            job.line_format.n_best,
            prefixes=None if job.prefixes is None else prefixes,
            **job.decoding,
        )
    except TooLongError as error:
        raise InputError(
            f"{name_of(job.input)}: line {number + error.index} {error.what}"
        ) from None
    links: Sequence[Sequence[Links] | None] = [None] * len(chunk)
    if job.line_format.alignments:
        links = _links(job.translator, sources, found)
    return "".join(
        written(number + index, *row, job.line_format)
        for index, row in enumerate(zip(sources, found, links, strict=True))
    )


def _links(
    translator: Translator, sources: list[str], found: list[list[Translation]]
) -> list[list[Links]]:
    """Returns the word alignment of every translation of every source."""
    repeated = [s for s, each in zip(sources, found, strict=True) for _ in each]
    texts = [translation.text for each in found for translation in each]
    flat = iter(align(translator, repeated, texts))
    return [list(itertools.islice(flat, len(each))) for each in found]


@contextlib.contextmanager
def _open_output(job: Job) -> Iterator["ResumableOutput | _Stream"]:
    if job.output is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield _Stream(sys.stdout)
        return
    settings = {"lines": f"from {job.first + 1}", **job.settings}
    with open_resumable(job.own_path, settings, job.resume) as output:
        yield output


class _Stream:
    """Standard output in the place of a file; what it has been given is gone."""

    journal = Journal({})

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Writes a chunk."""
        self._file.write(text)
        self._file.flush()
