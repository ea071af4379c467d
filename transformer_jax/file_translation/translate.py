"""Translation of files: chunk by chunk, resumable, shared among processes."""

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Unpack

import jax

from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
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
    input_name,
    open_rows,
    skip_rows,
)
from transformer_jax.file_translation.job import Job
from transformer_jax.file_translation.output_lines import (
    LineFormat,
    format_translations,
)
from transformer_jax.file_translation.parts import join_parts
from transformer_jax.file_translation.resumable_output import (
    Journal,
    ResumableOutput,
    finish,
    open_resumable,
)
from transformer_jax.progress import Progress
from transformer_jax.scoring.alignment import Links, align
from transformer_jax.storage.text_streams import count_lines
from transformer_jax.translation.long_sentences import TooLongError
from transformer_jax.translation.results import Translation
from transformer_jax.translation.translator import Translator


@dataclass(frozen=True)
class FileTranslation:
    """Lines, time and compilations of one call; lines done before it do not count."""

    lines: int
    seconds: float
    compilations: int
    """Number of programs that XLA compiled."""

    @property
    def lines_per_second(self) -> float:
        """Lines translated per second."""
        return self.lines / self.seconds


@refuse_misspelt_keywords
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
    **decoding: Unpack[DecodingSettings],
) -> FileTranslation:
    r"""Writes the translations of each line of a file, in the order of the lines.

    Only \n and \r\n end a line. Each line of the input gives one line of the output, or
    one for each of its n_best translations. The output appears when it is complete;
    until then `OUTPUT.partial` holds the chunks that are done, also after an
    interruption.

    In a job of several processes each one must call it, with a translator on its own
    devices. Each process translates an equal share of the lines, and the primary
    process joins the parts.

    Args:
        input: text, plain or .gz. None = standard input.
        output: None = standard output.
        n_best: translations of each line, best first.
        format: text, or JSON lines; see `output_lines.format_translations`.
        alignments: write word alignments too.
        prefixes: file with the beginning of each translation, one a line.
        resume: continue the output of an interrupted job; the result is the same.
        part: (i, n) translates part i of n only, into `parts.part_path`. When all are
            done, `parts.join_parts` makes the output.
        chunk_lines: lines that are translated together and written together.
        progress: show progress on standard error: a bar on a terminal or in a notebook,
            otherwise a line every 10 seconds.
        decoding: fields of `DecodingConfig` that replace the configured ones.

    Raises:
        InputError: a file cannot be read or written, is not UTF-8, or is not the one
            that an interrupted job has begun; a decoding setting is unknown or refused;
            or a line is too long and `too_long="refuse"`.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("in.txt").write_text("A house.\nA dog.\n")
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> done = tj.translate_file(translator, "in.txt", "out.txt", progress=False)
        >>> done.lines, len(Path("out.txt").read_text().splitlines())
        (2, 2)
    """
    together = part is None
    with all_together("reading the input") if together else contextlib.nullcontext():
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
    """Translates this process's part, and returns the sums over all processes."""
    count = job.part[1]
    start = time.perf_counter()
    settings = {name: str(value) for name, value in job.settings.items()}
    require_agreement(
        "arguments and input", {"lines of the input": str(job.total), **settings}
    )
    with all_together("translation"):
        taken = _run(job)
    with all_together("joining the parts"):
        if count > 1 and job.output is not None and is_primary():
            join_parts(job.output, count)
    lines, seconds = sum_of_all_hosts(taken.lines), time.perf_counter() - start
    return dataclasses.replace(taken, lines=lines, seconds=seconds)


def _run(job: Job) -> FileTranslation:
    """Translates one part of a file into a file of its own."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        compiled = CompileCounter()
        stack.callback(compiled.close)
        rows = stack.enter_context(open_rows(job.input, job.prefixes))
        rows = itertools.islice(rows, job.first, job.last)
        out = stack.enter_context(_open_output(job))
        before = done = out.journal.lines
        digest = skip_rows(rows, done, out.journal.input_digest)
        if digest is None:
            raise InputError(
                f"{input_name(job.input)} does not begin with the {done} lines that an "
                "interrupted job has translated: give the same file, or delete "
                f"{job.own_path} to begin anew."
            )
        total = None if job.last is None else job.last - job.first
        progress = stack.enter_context(
            Progress(total, "sentences", done=done, shown=job.progress)
        )
        progress.say("compiling")
        for chunk in chunks(rows, job.chunk_lines):
            text = _translate_chunk(chunk, done, job, progress)
            done += len(chunk)
            digest.add(chunk)
            out.append(text, done, str(digest))
            progress.show_done(done)
    if job.output is not None and job.part[1] == 1:
        finish(job.own_path, job.output)
    return FileTranslation(done - before, time.perf_counter() - start, compiled.count)


def _translate_chunk(
    chunk: Sequence[Row], done: int, job: Job, progress: Progress
) -> str:
    """Returns the output lines of a chunk that follows `done` lines of the job."""
    sources, prefixes = map(list, zip(*chunk, strict=True))
    number = job.first + done + 1
    try:
        n_best = job.translator.n_best(
            sources,
            job.line_format.n_best,
            prefixes=None if job.prefixes is None else prefixes,
            on_done=lambda sentences: progress.show_done(done + sentences),
            **job.decoding,
        )
    except TooLongError as error:
        raise InputError(
            f"{input_name(job.input)}: line {number + error.index} {error.what}"
        ) from None
    links: Sequence[Sequence[Links] | None] = [None] * len(chunk)
    if job.line_format.alignments:
        links = _align_translations(job.translator, sources, n_best)
    return "".join(
        format_translations(number + index, *row, job.line_format)
        for index, row in enumerate(zip(sources, n_best, links, strict=True))
    )


def _align_translations(
    translator: Translator, sources: list[str], n_best: list[list[Translation]]
) -> list[list[Links]]:
    """Returns the word alignment of every translation of every source."""
    repeated = [s for s, each in zip(sources, n_best, strict=True) for _ in each]
    texts = [translation.text for each in n_best for translation in each]
    flat = iter(align(translator, repeated, texts))
    return [list(itertools.islice(flat, len(each))) for each in n_best]


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
    """Standard output with the interface of `ResumableOutput`; it cannot resume."""

    journal = Journal({})

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Writes a chunk."""
        self._file.write(text)
        self._file.flush()
