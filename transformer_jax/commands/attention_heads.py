"""The part of the command `attention` that finds heads that do a job."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import note_checkpoint
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines

if TYPE_CHECKING:
    from transformer_jax.attention_pictures.head_findings import HeadFindings
    from transformer_jax.checkpoints.choosing import Which

_JOBS_OF_A_HEAD = 3


def print_heads(
    workdir: str,
    checkpoint: "Which",
    source: str | None,
    target: str | None,
    given: Mapping[str, Any],
) -> None:
    """Measures the heads of a model and prints what they do.

    Args:
        source, target: files of sentences and of their translations.
        given: other arguments of `find_heads`.

    Raises:
        InputError: flags exclude each other, a file cannot be used, or as `find_heads`.
    """
    from transformer_jax.attention_pictures.find_heads import find_heads

    if source is None and target is not None:
        raise InputError("--target needs --source: name both files.")
    if source is not None and "split" in given:
        raise InputError("--split and --source exclude each other: keep one.")
    with flags_in_errors({"max_pairs=": "--max-pairs "}):
        texts = _texts(source, target)
        chosen = note_checkpoint(workdir, checkpoint)
        found = find_heads(workdir, checkpoint=chosen, **texts, **given)
    print_json(_report(found))
    print_note(str(found))


def _texts(source: str | None, target: str | None) -> dict[str, Any]:
    """Returns the sentences of a file, or the pairs of two, as `find_heads` takes them.

    Raises:
        InputError: a file cannot be read, is empty, or has another number of lines.
    """
    from transformer_jax.data.sentence_pairs import from_files

    if source is None:
        return {}
    if target is not None:
        return {"pairs": from_files(source, target)}
    with open_lines(Path(source)) as lines:
        sentences = list(lines)
    if not sentences:
        raise InputError(f"{source} is empty: give a sentence a line.")
    return {"sentences": sentences}


def _report(found: "HeadFindings") -> dict[str, Any]:
    return {
        "num_pairs": found.num_pairs,
        "num_left_out": found.num_left_out,
        "heads": [
            {
                "kind": head.kind,
                "layer": head.layer,
                "head": head.head,
                "jobs": [
                    {**dataclasses.asdict(job), "margin": job.margin}
                    for job in head.jobs[:_JOBS_OF_A_HEAD]
                ],
            }
            for head in found.heads
        ],
    }
