"""The report on a claim: JSON, a page, a picture."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformer_jax.attention_pictures.figure import figure_bytes, load_matplotlib
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.errors import InputError
from transformer_jax.reproduction.effort import surroundings
from transformer_jax.reproduction.scaling import data_of
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.json_values import finite_or_none, parse_json
from transformer_jax.storage.work_directory import (
    StoredPath,
    check_can_be_written,
    create_directory,
    is_file,
    remove_if_empty,
    work_directory,
    write_whole,
)

_RESULT, _PAGE, _PICTURE = "claim.json", "claim.md", "claim.svg"

_HOLDS = {
    True: "holds here",
    False: "does not hold here",
    None: "not decided here",
}


@contextlib.contextmanager
def open_claim(workdir: str | os.PathLike[str], section: str) -> Iterator[None]:
    """Makes sure, before the block, that `write_claim` can write after it.

    Raises:
        InputError: the directory or a file in it cannot be written, it has a claim of
            another section, or matplotlib is not installed (the extra `notebook`).
    """
    load_matplotlib()
    folder = work_directory(workdir)
    check_outside_parts(folder, "workdir")
    with remove_if_empty(folder):
        create_directory(folder)
        check_can_be_written(folder, _RESULT, _PAGE, _PICTURE)
        there = _section_of(folder / _RESULT)
        if there not in (None, section):
            raise InputError(
                f"{folder} has the claim of section {there}, which that of section "
                f"{section} would replace: name another directory."
            )
        yield


def _section_of(path: StoredPath) -> str | None:
    """Returns the section of the claim in a file; None if it has none."""
    try:
        return str(parse_json(path.read_bytes())["section"]) if is_file(path) else None
    except (ValueError, TypeError, KeyError):
        return None


def write_claim(
    workdir: str | os.PathLike[str],
    config: ExperimentConfig,
    claim: Mapping[str, Any],
    *,
    x: str,
    y: Sequence[str],
    by: str | None = None,
) -> dict[str, Any]:
    """Writes `claim.json`, `claim.md` and `claim.svg`; returns the first.

    Args:
        claim: what is claimed, where, whether it holds (None: not decided; so is what
            has a number that is not finite), a sentence, the number of sentences, and
            the rows.
        x: column of the rows on the horizontal axis of the picture.
        y: columns that have a drawing each.
        by: column with a line for each of its values.
    """
    is_known = all(math.isfinite(row[name]) for row in claim["rows"] for name in y)
    found = {
        **claim,
        "holds": claim["holds"] if is_known else None,
        "data": data_of(config),
        "num_updates": config.training.num_steps,
        "vocab_size": config.model.output_vocab_size,
        "d_model": config.model.d_model,
        "num_layers": [
            config.model.num_encoder_layers,
            config.model.num_decoder_layers,
        ],
        **surroundings(config),
    }
    folder = work_directory(workdir)
    text = json.dumps(finite_or_none(found), indent=2, ensure_ascii=False)
    files = {
        _PICTURE: _draw(claim, x, y, by),
        _PAGE: claim_markdown(found).encode(),
        _RESULT: text.encode(),
    }
    for name, contents in files.items():
        write_whole(folder / name, contents)
    return found


def claim_markdown(claim: Mapping[str, Any]) -> str:
    """Returns a claim as a page of Markdown."""
    names = list(claim["rows"][0])
    holds = _HOLDS[claim["holds"]]
    lines = [
        f"# Section {claim['section']}: {holds}",
        "",
        f"The paper: {claim['claim']} Here: {claim['verdict']}",
        "",
        "| " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|" + "---|" * len(names),
        *(
            "| " + " | ".join(_cell(row[name]) for name in names) + " |"
            for row in claim["rows"]
        ),
        "",
        f"Layers {claim['num_layers'][0]} + {claim['num_layers'][1]}, d_model "
        f"{claim['d_model']}, {claim['vocab_size']:,} subwords, "
        f"{claim['num_updates']:,} updates each, on {claim['data']}; "
        f"{claim['num_sentences']:,} sentences of validation; {claim['hardware']}, "
        f"seed {claim['seed']}. One run a row: small differences may be chance.",
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _draw(claim: Mapping[str, Any], x: str, y: Sequence[str], by: str | None) -> bytes:
    """Returns an SVG with a drawing for each column of `y`.

    Raises:
        InputError: matplotlib is not installed (the extra `notebook`).
    """
    figure = load_matplotlib().figure.Figure(
        figsize=(4.5 * len(y), 3.2), layout="constrained"
    )
    figure.suptitle(f"Section {claim['section']}", fontsize="medium")
    axes = figure.subplots(1, len(y), squeeze=False)[0]
    rows = claim["rows"]
    values = list(dict.fromkeys(row[by] for row in rows)) if by else [None]
    for axis, name in zip(axes, y, strict=True):
        for value in values:
            chosen = [row for row in rows if by is None or row[by] == value]
            label = None if by is None else f"{by.replace('_', ' ')}: {_cell(value)}"
            places = [row[x] for row in chosen]
            axis.plot(places, [row[name] for row in chosen], "o-", label=label)
        axis.set(xlabel=x.replace("_", " "), ylabel=name.replace("_", " "))
        axis.spines[["top", "right"]].set_visible(False)
        if by is not None:
            axis.legend(frameon=False)
    return figure_bytes(figure, "svg")
