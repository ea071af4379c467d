"""Translation of files: chunk by chunk, resumable, shared among processes."""

import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Unpack

import jax

from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.devices.agreement import (
    all_together,
    decided_by_primary,
    require_agreement,
    sum_of_all_hosts,
)
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.joining import is_primary
from transformer_jax.devices.lost_processes import showing_life
from transformer_jax.errors import InputError
from transformer_jax.file_translation.chunk import Counts, translate_chunk
from transformer_jax.file_translation.input_rows import (
    count_rows,
    input_name,
    open_rows,
    read_chunk,
    skip_rows,
)
from transformer_jax.file_translation.job import Job
from transformer_jax.file_translation.output_lines import (
    LineFormat,
)
from transformer_jax.file_translation.parts import join_parts
from transformer_jax.file_translation.resumable_output import (
    Journal,
    ResumableOutput,
    complete_path,
    open_resumable,
    write_complete,
)
from transformer_jax.parser.tree_lines import TreeLines
from transformer_jax.progress import Progress
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.storage.path_names import path_name
from transformer_jax.storage.text_encoding import STANDARD_STREAM, check_read_once
from transformer_jax.translation.arguments import decoding_of
from transformer_jax.translation.translator import Translator

logger = logging.getLogger(__name__)

_AFTER_A_LOSS = (
    "start the job again with resume=True, and it goes on with what each process has "
    "done"
)


@dataclass(frozen=True)
class FileTranslation:
    """Lines, time and compilations of one call; lines done before it do not count.

    Example:
        >>> tj.FileTranslation(lines=90, seconds=3.0, compilations=2).lines_per_second
        30.0
    """

    lines: int
    seconds: float
    compilations: int
    """Number of programs that XLA compiled."""
    counts: Counts = field(default_factory=Counts)
    """Lines of this process that were skipped, or whose translation has no end."""

    @property
    def lines_per_second(self) -> float:
        """Lines translated per second."""
        return self.lines / self.seconds if self.lines else 0.0


@refuse_misspelt_keywords
def translate_file(
    translator: Translator | TreeLines,
    input: str | Path | None,
    output: str | Path | None,
    *,
    n_best: int = 1,
    format: Literal["text", "jsonl"] = "text",
    alignments: bool = False,
    prefixes: str | Path | None = None,
    resume: bool = False,
    part: tuple[int, int] | None = None,
    chunk_lines: int | None = None,
    on_error: Literal["stop", "skip"] = "stop",
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
        translator: what translates; or the `TreeLines` of a parser.
        input: text, plain or .gz. None, or `-`, = standard input.
        output: None, or `-`, = standard output. A name with .gz is compressed. A link
            is written through, and what is no file, as a device or a pipe, is written
            to as lines are done; neither that nor standard output can be resumed.
        n_best: translations of each line, best first.
        format: text, or JSON lines; see `output_lines.format_translations`.
        alignments: write word alignments too; of a line translated in parts, those of
            its parts, with the words of the line counted on.
        prefixes: file with the beginning of each translation, one a line.
        resume: continue the output of an interrupted job; the result is the same. A
            finished one of the same input and settings is left as it is: it has
            `OUTPUT.complete.json` beside it, which says what it was made of.
        part: (i, n) translates part i of n only, into `parts.part_path`. When all are
            done, `parts.join_parts` makes the output.
        chunk_lines: lines that are translated together and written together; an
            interruption loses those that are not written. None = as many as about 20
            seconds allow, 4,096 at most. The translations do not depend on it.
        on_error: what to do at a line that cannot be used, as one that is not UTF-8, is
            too long for `too_long="refuse"`, or has a prefix as long as its output may
            be: stop, with the lines before it done, or skip it; its output is then an
            empty line, or a record with `error`.
        progress: show progress on standard error: a bar on a terminal or in a notebook,
            otherwise a line every 10 seconds.
        decoding: fields of `DecodingConfig` that replace the configured ones.

    Raises:
        InputError: a file cannot be read or written, or is not the one that an
            interrupted job has begun; a decoding setting is unknown or refused; or a
            line cannot be used and `on_error="stop"`. The message has its number.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("in.txt").write_text("A house.\nA dog.\n")
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> done = tj.translate_file(translator, "in.txt", "out.txt", progress=False)
        >>> done.lines, len(Path("out.txt").read_text().splitlines())
        (2, 2)
    """
    decoding_of(translator, decoding)  # Before the files, which may be large.
    together = part is None
    for name, path in (("input", input), ("output", output), ("prefixes", prefixes)):
        if path is not None:
            path_name(name, path)
    is_stream = input is None or Path(input) == STANDARD_STREAM
    source = None if input is None or is_stream else Path(input)
    forced = None if prefixes is None else Path(prefixes)
    if forced is not None:
        check_read_once(STANDARD_STREAM if is_stream else source, forced)
    with all_together("reading the input") if together else contextlib.nullcontext():
        job = Job(
            translator=translator,
            input=source,
            output=find_output(
                None if output is None else Path(output), source, forced
            ),
            prefixes=forced,
            line_format=LineFormat(format=format, n_best=n_best, alignments=alignments),
            part=part or (jax.process_index(), jax.process_count()),
            total=None if source is None else count_rows(source, on_error),
            resume=resume,
            chunk_lines=chunk_lines,
            on_error=on_error,
            progress=progress,
            decoding=decoding,
        )
        job.check()
    if not together:
        return _run(job)
    complete = decided_by_primary(
        "looking at the output", lambda: "yes" if job.is_complete() else ""
    )
    if complete:
        logger.warning("%s is complete: nothing is left to do", job.output.name)
        return FileTranslation(0, 0.0, 0)
    with showing_life("translation", _AFTER_A_LOSS):
        return _run_together(job)


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
        if count > 1 and job.output.file is not None and is_primary():
            _join(job, job.output.file, count)
    lines, seconds = sum_of_all_hosts(taken.lines), time.perf_counter() - start
    for count_of in (taken.counts.unfinished, taken.counts.skipped):
        count_of.number = sum_of_all_hosts(count_of.number)
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
        progress.say("loading or compiling programs")
        counts = Counts()
        chunk_lines = job.make_chunk_lines()
        while chunk := read_chunk(
            rows, chunk_lines.next(None if total is None else total - done)
        ):
            begun, compiling = time.perf_counter(), compiled.seconds
            text, number, error = translate_chunk(chunk, done, job, progress, counts)
            done += number
            digest.add(chunk[:number])
            if number:
                out.append(text, done, str(digest))
            progress.show_done(done)
            if error is not None:
                raise error
            seconds = time.perf_counter() - begun - (compiled.seconds - compiling)
            chunk_lines.took(number, seconds)
    return FileTranslation(
        done - before, time.perf_counter() - start, compiled.count, counts
    )


def _join(job: Job, output: Path, count: int) -> None:
    """Joins the parts, and says what they were made of to a job that continues."""
    complete_path(output).unlink(missing_ok=True)
    join_parts(output, count)
    if job.resume and job.total is not None:
        digest, size = str(job.digest_of_input()), output.stat().st_size
        write_complete(output, Journal(job.whole_settings, job.total, digest, size))


@contextlib.contextmanager
def _open_output(job: Job) -> Iterator["ResumableOutput | _Stream"]:
    file = job.output.file
    if file is None:
        with open_output(job.output) as stream:
            yield _Stream(stream)
        return
    with open_resumable(
        job.own_path,
        {"lines": f"from {job.first + 1}", **job.settings},
        job.resume,
        destination=file if job.part[1] == 1 else None,
        compressed=job.output.is_compressed,
    ) as output:
        yield output


class _Stream:
    """What is no file, with the interface of `ResumableOutput`; it cannot resume."""

    journal = Journal({})

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, text: str, lines: int, input_digest: str) -> None:
        """Writes a chunk."""
        self._file.write(text)
        self._file.flush()
