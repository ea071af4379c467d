"""The command `score`: how probable a model finds given translations."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformer_jax.commands.decoding_flags import AS_CONFIGURED, ScoringFlags
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import (
    Workdir,
    check_alignments,
    load_translator,
    note_alignments,
)
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.startup import Joined, Processes, show_log
from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.errors import InputError
from transformer_jax.storage.json_values import finite_or_none, json_line
from transformer_jax.storage.outputs import find_output, open_output

if TYPE_CHECKING:
    from transformer_jax.data.sentence_pairs import SentencePairs
    from transformer_jax.translation.translator import Translator

# Pairs scored together: enough to sort by length, few enough to hold.
_CHUNK_LINES = 16_384


def score(
    workdir: Workdir,
    /,
    source: Path,
    target: Path,
    output: Path | None = None,
    format: Literal["text", "jsonl"] = "text",
    alignments: bool = False,
    checkpoint: str = "latest",
    ensemble: tuple[str, ...] = (),
    progress: bool = True,
    decoding: ScoringFlags = AS_CONFIGURED,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Score given translations: log-probability and normalised score, line by line.

    A line of text is the log-probability (nats), a tab, and the score by which beam
    search would rank it. A summary follows as one JSON object: on standard output, or
    on standard error where the scores themselves go to standard output. A pair that is
    too long is scored and aligned in parts, as translate makes them; --too-long refuse
    names it instead. Settings of decoding that are left out are those of the training.

    Args:
        workdir: a trained work directory, or one checkpoint in it.
        source: sentences, one a line; plain or .gz.
        target: their translations, line by line.
        output: file to write; default, or -, standard output.
        format: text, or one JSON object a line with every token's log-probability.
        alignments: word alignments too, as 0-0 2-1: source word, target word.
        checkpoint: latest, best, average or a step.
        ensemble: more work directories or checkpoints, whose probabilities are
            averaged with those of the first.
        progress: show progress on standard error.
    """
    show_log(progress)
    check_alignments(alignments, decoding)
    processes.start()
    from transformer_jax.data.sentence_pairs import from_files
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.progress import Progress
    from transformer_jax.translation.arguments import require_translation

    found = find_output(output, source, target)
    pairs = from_files(source, target)
    translator = load_translator(workdir, checkpoint, ensemble)
    require_translation(translator.config)
    if alignments:
        with flags_in_errors({}, decoding=True):
            note_alignments(translator, decoding)
    log_prob, num_tokens = 0.0, 0
    with (
        # Every process computes; one writes.
        open_output(found) if is_primary() else contextlib.nullcontext() as out,
        Progress(len(pairs), "sentences", shown=progress) as shown,
        flags_in_errors({}, decoding=True),
    ):
        shown.say("loading or compiling programs")
        files = {"source": source, "target": target}
        scored = _records(
            translator, pairs, files, alignments, decoding, shown.show_done
        )
        for record in scored:
            log_prob += record["log_prob"]
            num_tokens += record["num_tokens"]
            if out is not None:
                out.write(_format_record(record, format) + "\n")
    if is_primary():
        summary = _summary(len(pairs), num_tokens, log_prob, checkpoint)
        if found.is_standard:
            print_note(json.dumps(finite_or_none(summary)))
        else:
            print_json(summary)


def _records(
    translator: "Translator",
    pairs: "SentencePairs",
    files: Mapping[str, Path],
    alignments: bool,
    decoding: DecodingSettings,
    on_done: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Yields the scores of each pair, in the order of the files.

    It calls `on_done` with the number of pairs scored so far.

    Args:
        files: names of the two files, for messages.

    Raises:
        InputError: a pair is too long and to be refused, or cannot be cut.
    """
    from transformer_jax.scoring.alignment import align, pharaoh
    from transformer_jax.scoring.scores import score
    from transformer_jax.translation.long_pairs import TooLongPairError

    for first in range(0, len(pairs), _CHUNK_LINES):
        chunk = pairs.read(first, min(first + _CHUNK_LINES, len(pairs)))
        sources, targets = map(list, zip(*chunk, strict=True))
        try:
            scores = score(
                translator,
                sources,
                targets,
                on_done=lambda done, first=first: on_done(first + done),
                **decoding,
            )
        except TooLongPairError as error:
            line = first + error.index + 1
            raise InputError(f"{files[error.side]}: line {line} {error.what}") from None
        links = align(translator, sources, targets, **decoding) if alignments else []
        for index, found in enumerate(scores):
            record = {
                "line": first + index + 1,
                "source": sources[index],
                "target": targets[index],
                **vars(found),
            }
            if alignments:
                record["alignment"] = pharaoh(links[index])
            yield record


def _format_record(record: dict[str, Any], format: str) -> str:
    """Returns the line of a pair."""
    if format == "jsonl":
        return json_line(record)
    columns = [f"{record['log_prob']:.6f}", f"{record['score']:.6f}"]
    if "alignment" in record:
        columns.append(record["alignment"])
    return "\t".join(columns)


def _summary(
    num_sentences: int, num_tokens: int, log_prob: float, checkpoint: str
) -> dict[str, Any]:
    nll = -log_prob / num_tokens
    return {
        "num_sentences": num_sentences,
        "num_tokens": num_tokens,
        "log_prob": log_prob,
        "nll": nll,
        # As evaluate gives it: of a subword. exp(710) overflows.
        "perplexity": math.exp(min(nll, 700.0)),
        "checkpoint": checkpoint,
    }
