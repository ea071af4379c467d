"""The verdict on a run: the number of the paper, ours, and what stands behind it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.reproduction.scaling import (
    Scale,
    changes,
    chosen_settings,
    data_of,
)
from transformer_jax.reproduction.scores import Score
from transformer_jax.reproduction.targets import Target


def make_verdict(
    target: Target,
    config: ExperimentConfig,
    scale: Scale,
    scores: Sequence[Score],
    num_sentences: int,
    measured: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the verdict as JSON values.

    A number is met where the paper's is not above the 95 % confidence interval of ours;
    on another test set it is None, neither met nor not.

    Args:
        scores: the first is compared with the paper's.
        measured: what else is known of the run, by name.
    """
    score = scores[0]
    low, high = (limit - target.paper_score for limit in score.interval)
    differing = changes(config, target)
    scored_on = target.test_set
    if num_sentences != target.num_sentences:
        scored_on = f"{num_sentences:,} other sentence{'s' * (num_sentences != 1)}"
        differing.append(
            f"sentences of {target.test_set}: {target.num_sentences:,} -> "
            f"{num_sentences:,}, so it is another test set"
        )
    elif not _is_named(config, target):
        scored_on = f"{num_sentences:,} sentences of other files"
        differing.append(
            f"files of {target.test_set}: their names do not say it, so they count as "
            "another test set"
        )
    return {
        "target": target.name,
        "table": target.table,
        "test_set": target.test_set,
        "scored_on": scored_on,
        "paper_score": target.paper_score,
        "score": score.value,
        "difference": score.value - target.paper_score,
        "difference_interval": [low, high],
        "is_met": high >= 0 if scored_on == target.test_set else None,
        "is_full_run": not differing,
        "differs_by": differing,
        "scale": asdict(scale),
        "chosen": chosen_settings(config, target, scale),
        "scores": [{**asdict(one), "interval": [*one.interval]} for one in scores],
        "num_sentences": num_sentences,
        "data": data_of(config),
        "paper_perplexity": target.paper_perplexity,
        "paper_parameters_millions": target.paper_parameters,
        "paper_training_flops": target.paper_flops,
        **measured,
    }


def verdict_markdown(verdict: Mapping[str, Any]) -> str:
    """Returns a verdict as a page of Markdown."""
    ours = "ours" + _scale_words(verdict)
    words = {True: "met", False: "not met", None: "not comparable, other text"}
    met = words[verdict["is_met"]]
    full = "" if verdict["is_full_run"] else ", and this is not a full run"
    lines = [
        f"# {verdict['target']}: {met}{full}",
        "",
        f"{verdict['scores'][0]['name']}: {verdict['score']:.2f} on "
        f"{verdict['scored_on']}{_scale_words(verdict)}; the paper "
        f"{verdict['paper_score']:g} on {verdict['test_set']}."
        + _difference_words(verdict),
        "",
        f"| | paper | {ours} |",
        "|---|---|---|",
        *(_table_row(cells) for cells in _rows(verdict)),
    ]
    if verdict["differs_by"]:
        differing = (f"- {line}" for line in verdict["differs_by"])
        lines += ["", "What differs from a full run:", "", *differing]
    versions = ", ".join(f"{k} {v}" for k, v in verdict["versions"].items())
    lines += [
        "",
        f"Settings {verdict['config_digest'][:12]}, seed {verdict['seed']}; "
        f"{versions}.",
    ]
    return "\n".join(lines) + "\n"


def _is_named(config: ExperimentConfig, target: Target) -> bool:
    """Whether the files that are scored are called as the test set, if there are any.

    Nothing else tells that they are it: any text may have as many lines.
    """
    if target.is_parsing:
        return True
    files = config.data.files(target.split)
    return all(
        target.test_set in os.path.basename(path) for side in files for path in side
    )


def _table_row(cells: Sequence[str]) -> str:
    # Signatures have bars, which would end a cell.
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _scale_words(verdict: Mapping[str, Any]) -> str:
    words = str(Scale(**verdict["scale"]))
    return f" (at {words})" if words else ""


def _difference_words(verdict: Mapping[str, Any]) -> str:
    """Returns a sentence; nothing where the texts differ, and numbers say nothing."""
    if verdict["is_met"] is None:
        return ""
    low, high = verdict["difference_interval"]
    return (
        f" A difference of {verdict['difference']:+.2f}, 95 % interval {low:+.2f} to "
        f"{high:+.2f}."
    )


def _rows(verdict: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns the rows of the table: what, the paper's, ours."""
    paper = verdict["paper_score"]
    rows = [
        (
            f"{score['name']} (`{score['signature']}`)",
            f"{paper:g}" if number == 0 else "",
            f"{score['value']:.2f} ({score['interval'][0]:.2f} to "
            f"{score['interval'][1]:.2f})",
        )
        for number, score in enumerate(verdict["scores"])
    ]
    for name, words, digits in (
        ("perplexity_per_subword", "perplexity per subword", ".2f"),
        ("perplexity_per_word", "perplexity per word", ".2f"),
    ):
        known = verdict["paper_perplexity"] if name.endswith("subword") else None
        rows.append((words, _shown(known, "g"), _shown(verdict[name], digits)))
    millions = verdict["num_parameters"] / 1e6
    return [
        *rows,
        (
            "parameters, millions",
            _shown(verdict["paper_parameters_millions"], "g"),
            f"{millions:.2f}",
        ),
        (
            "operations of training",
            _shown(verdict["paper_training_flops"], ".1e"),
            f"{verdict['training_flops']:.2e}",
        ),
        ("updates", "", f"{verdict['num_updates']:,}"),
        ("target tokens seen", "", f"{verdict['target_tokens']:,}"),
        (
            "checkpoints averaged",
            "",
            str(len(verdict["averaged_steps"]) or "none: the last"),
        ),
        ("time of training", "", _duration(verdict["training_hours"])),
        ("hardware", "", verdict["hardware"]),
        ("trained on", "", str(verdict["data"])),
        ("scored on", "", verdict["text"]),
    ]


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _shown(value: float | None, digits: str) -> str:
    return "" if value is None else f"{value:{digits}}"
