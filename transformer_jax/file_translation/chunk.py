"""The translation of one chunk of lines, and what is wrong with some of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from transformer_jax.errors import InputError, SentenceError
from transformer_jax.file_translation.input_rows import Row, input_name
from transformer_jax.file_translation.job import Job
from transformer_jax.file_translation.output_lines import (
    format_problem,
    format_translations,
)
from transformer_jax.progress import Progress
from transformer_jax.scoring.alignment import align_translations
from transformer_jax.scoring.words import Links
from transformer_jax.translation.results import Translation
from transformer_jax.translation.translator import Translator

Problems: TypeAlias = dict[int, str]
"""What is wrong with lines that cannot be used, by their index in the chunk."""

_EMPTY = Row("", "")


@dataclass
class LineCount:
    """How many lines of a kind there are, and the numbers of the first few."""

    number: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Counts a line, by its number from 1."""
        self.number += 1
        if len(self.first) < 5:
            self.first.append(line)

    def __str__(self) -> str:
        more = ", ..." if self.number > len(self.first) else ""
        return f"{', '.join(map(str, self.first))}{more}"


@dataclass(frozen=True)
class Counts:
    """Lines to tell of at the end."""

    unfinished: LineCount = field(default_factory=LineCount)
    """Whose translation was cut at its greatest length."""
    skipped: LineCount = field(default_factory=LineCount)
    """That could not be used."""


def translate_chunk(
    chunk: Sequence[Row], done: int, job: Job, progress: Progress, counts: Counts
) -> tuple[str, int, InputError | None]:
    """Translates a chunk that follows `done` lines of the job.

    Returns:
        text: the lines of the output.
        number: lines of the chunk that they belong to.
        error: of the line after these, which ends the job. None = all are done.
    """
    first = job.first + done + 1
    problems = {index: row.problem for index, row in enumerate(chunk) if row.problem}
    error = None
    if problems and job.on_error == "stop":
        chunk, error = _up_to(chunk, problems, first, job)
    while True:
        rows = [_EMPTY if index in problems else row for index, row in enumerate(chunk)]
        try:
            n_best = _translate(rows, done, job, progress)
            break
        except SentenceError as found:
            if job.on_error == "stop":
                chunk, error = _up_to(chunk, found.problems, first, job)
                problems = {}
            else:
                problems |= found.problems
    links: Sequence[Sequence[Links] | None] = [None] * len(chunk)
    if job.line_format.alignments and isinstance(job.translator, Translator):
        sources = [row.line for row in rows]
        links = align_translations(job.translator, sources, n_best, **job.decoding)
    lines = []
    for index, row in enumerate(rows):
        if index in problems:
            counts.skipped.add(first + index)
            source = chunk[index].line
            lines.append(
                format_problem(first + index, source, problems[index], job.line_format)
            )
            continue
        if not n_best[index][0].is_finished:
            counts.unfinished.add(first + index)
        lines.append(
            format_translations(
                first + index, row.line, n_best[index], links[index], job.line_format
            )
        )
    return "".join(lines), len(chunk), error


def _up_to(
    chunk: Sequence[Row], problems: Problems, first: int, job: Job
) -> tuple[Sequence[Row], InputError]:
    """Returns the rows before the first problem, and the error for it."""
    index = min(problems)
    what = f"{input_name(job.input)}: line {first + index} {problems[index]}"
    return chunk[:index], InputError(what)


def _translate(
    rows: Sequence[Row], done: int, job: Job, progress: Progress
) -> list[list[Translation]]:
    prefixes = None if job.prefixes is None else [row.prefix for row in rows]
    return job.translator.n_best(
        [row.line for row in rows],
        job.line_format.n_best,
        prefixes=prefixes,
        on_done=lambda sentences: progress.show_done(done + sentences),
        **job.decoding,
    )
