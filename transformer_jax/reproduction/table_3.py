"""Table 3 of the paper, made of the verdicts of its rows."""

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from transformer_jax.errors import InputError
from transformer_jax.reproduction.scaling import Scale
from transformer_jax.reproduction.table_3_picture import draw_table_3
from transformer_jax.reproduction.targets import TARGETS
from transformer_jax.reproduction.verdict_file import VERDICT, read_verdict
from transformer_jax.storage.inside_runs import check_outside_parts
from transformer_jax.storage.json_values import finite_or_none
from transformer_jax.storage.work_directory import (
    check_can_be_written,
    create_directory,
    work_directory,
    write_whole,
)

_PREFIX = "table3-"


def summarise_table_3(
    directories: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]
) -> dict[str, Any]:
    """Returns the table of all finished rows beside the paper's, and writes it.

    The directory `output` gets `table3.json`, `table3.md` and `table3.svg`. Several
    runs of a row, as with several seeds, are one row with mean and standard deviation.

    Args:
        directories: work directories with a verdict on a row of Table 3.

    Raises:
        InputError: one has no such verdict or is named twice, or they are of different
            scales or test sets, which cannot be compared.

    Example:
        >>> tj.summarise_table_3(["runs/nothing"], "runs/table")
        Traceback (most recent call last):
            ...
        transformer_jax.errors.InputError: runs/nothing has no verdict yet: run \
reproduce to its end there.
    """
    verdicts = [_load_verdict(directory) for directory in directories]
    _check_alike(verdicts, directories)
    rows = [
        _row(name.removeprefix(_PREFIX), runs)
        for name in TARGETS
        if (runs := [verdict for verdict in verdicts if verdict["target"] == name])
    ]
    first = verdicts[0]
    summary: dict[str, Any] = {
        "scale": first["scale"],
        "data": first["data"],
        "text": first["text"],
        "num_sentences": first["num_sentences"],
        "chosen": first["chosen"],
        "rows": rows,
    }
    summary["markdown"] = _markdown(summary)
    folder = work_directory(output)
    check_outside_parts(folder, "output")
    create_directory(folder, "output")
    text = json.dumps(finite_or_none(summary), indent=2, ensure_ascii=False)
    files = {
        "table3.svg": draw_table_3(rows, _title(summary)),
        "table3.md": summary["markdown"].encode(),
        "table3.json": text.encode(),
    }
    check_can_be_written(folder, *files)
    for name, contents in files.items():
        write_whole(folder / name, contents)
    return summary


def _load_verdict(directory: str | os.PathLike[str]) -> dict[str, Any]:
    path = work_directory(directory) / VERDICT
    if not path.exists():
        raise InputError(
            f"{directory} has no verdict yet: run reproduce to its end there."
        )
    verdict = read_verdict(path)
    if verdict is None:
        raise InputError(
            f"{path} is damaged, or of another version: run reproduce there, which "
            "makes it again."
        )
    if not verdict["target"].startswith(_PREFIX):
        raise InputError(
            f"{directory} is of {verdict['target']}, not of a row of Table 3."
        )
    return verdict


def _check_alike(
    verdicts: Sequence[Mapping[str, Any]], directories: Sequence[Any]
) -> None:
    """Checks that all rows are of one scale, data and test set, and named once."""
    paths = [os.path.realpath(directory) for directory in directories]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise InputError(
                f"{directories[index]} is named twice: it would count as two runs."
            )
    seen: dict[tuple[str, int], Any] = {}
    for verdict, directory in zip(verdicts, directories, strict=True):
        run = verdict["target"], verdict["seed"]
        if run in seen:
            raise InputError(
                f"{directory} and {seen[run]} are the same row with the same seed: "
                "name one of them."
            )
        seen[run] = directory
    for verdict, directory in zip(verdicts, directories, strict=True):
        for name in ("scale", "num_sentences", "num_updates"):
            if verdict["target"] == f"{_PREFIX}big" and name == "num_updates":
                continue  # Three times as many.
            if verdict[name] != _first_small(verdicts)[name]:
                raise InputError(
                    f"{directory} has {name} {verdict[name]}, {directories[0]} "
                    f"{_first_small(verdicts)[name]}: rows can be compared only if "
                    "they are alike."
                )
        _check_settings(verdict, verdicts[0], f"{directory}", f"{directories[0]}")
        _check_texts(verdict, verdicts[0], f"{directory}", f"{directories[0]}")


def _check_settings(
    verdict: Mapping[str, Any], first: Mapping[str, Any], one: str, other: str
) -> None:
    """Checks that settings beside those of the row are the same."""
    mine, its = verdict["chosen"], first["chosen"]
    for name in sorted(mine.keys() | its.keys()):
        values = [each.get(name, "the row's") for each in (mine, its)]
        if values[0] != values[1]:
            raise InputError(
                f"{one} has {name} {values[0]}, {other} {values[1]}: rows can be "
                "compared only if they are alike."
            )


def _check_texts(
    verdict: Mapping[str, Any], first: Mapping[str, Any], one: str, other: str
) -> None:
    """Checks that both texts are the same, wherever they lie."""
    for name, done in (("train_digest", "trained"), ("text_digest", "scored")):
        if verdict[name] != first[name]:
            raise InputError(
                f"{one} was {done} on another text than {other}: rows can be compared "
                "only if they are alike."
            )


def _first_small(verdicts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    small = (one for one in verdicts if one["target"] != f"{_PREFIX}big")
    return next(small, verdicts[0])


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a row: numbers of the paper, and the means of ours."""
    target = TARGETS[_PREFIX + name]
    return {
        "row": name,
        "num_runs": len(runs),
        "num_parameters": runs[0]["num_parameters"],
        "paper_perplexity": target.paper_perplexity,
        "paper_score": target.paper_score,
        "perplexity": _mean(runs, "perplexity_per_subword"),
        "perplexity_deviation": _deviation(runs, "perplexity_per_subword"),
        "score": _mean(runs, "score"),
        "score_deviation": _deviation(runs, "score"),
        "training_hours": sum(run["training_hours"] for run in runs),
        "scores_by_seed": {str(run["seed"]): run["score"] for run in runs},
    }


def _mean(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.fmean(_number(run[name]) for run in runs)


def _deviation(runs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Returns the standard deviation; None of a single run."""
    if len(runs) < 2:
        return None
    values = [_number(run[name]) for run in runs]
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _markdown(summary: Mapping[str, Any]) -> str:
    rows = summary["rows"]
    base = next((row for row in rows if row["row"] == "base"), None)
    lines = [
        f"# {_title(summary)}",
        "",
        f"Trained on {summary['data']}, scored on the {summary['num_sentences']:,} "
        f"sentences of {summary['text']}. ± is the standard deviation over seeds; in "
        "brackets, the difference to base.",
        "",
        "| row | runs | parameters (M) | PPL, paper | PPL, ours | BLEU, paper | "
        "BLEU, ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["row"],
            str(row["num_runs"]),
            f"{row['num_parameters'] / 1e6:.2f}",
            _cell(row, base, "paper_perplexity", ".2f"),
            _cell(row, base, "perplexity", ".2f"),
            _cell(row, base, "paper_score", ".1f"),
            _cell(row, base, "score", ".2f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if summary["chosen"]:
        settings = (f"{name} {value}" for name, value in summary["chosen"].items())
        lines += ["", "Of every row: " + ", ".join(settings) + "."]
    return "\n".join(lines) + "\n"


def _title(summary: Mapping[str, Any]) -> str:
    words = str(Scale(**summary["scale"]))
    return "Table 3" + (f", at {words}" if words else "")


def _cell(
    row: Mapping[str, Any], base: Mapping[str, Any] | None, name: str, digits: str
) -> str:
    deviation = row.get(f"{name}_deviation")
    text = f"{row[name]:{digits}}"
    if deviation is not None:
        text += f" ± {deviation:{digits}}"
    if base is not None and row is not base:
        text += f" ({row[name] - base[name]:+{digits}})"
    return text
