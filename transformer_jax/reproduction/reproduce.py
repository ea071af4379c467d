"""One number of the paper, from the data to the verdict."""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.choosing import Which, averages, steps_in
from transformer_jax.checkpoints.contents import averaged_steps
from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.config.checks import require_config, require_type
from transformer_jax.config.experiment import ExperimentConfig, TrainingConfig
from transformer_jax.data.corpus_files import check_usable
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.data.source import load_split
from transformer_jax.devices.agreement import primary_first
from transformer_jax.devices.joining import is_primary
from transformer_jax.errors import InputError
from transformer_jax.evaluation.evaluate import EvaluationResult, evaluate
from transformer_jax.file_translation.output_lines import text_line
from transformer_jax.reproduction.effort import effort, surroundings
from transformer_jax.reproduction.same_run import (
    check_same_run,
    check_texts_stay,
    trained_text,
)
from transformer_jax.reproduction.scaling import (
    Scale,
    scale_settings,
    target_settings,
)
from transformer_jax.reproduction.scores import (
    parsing_scores,
    perplexities,
    translation_scores,
)
from transformer_jax.reproduction.targets import Target, find_target
from transformer_jax.reproduction.verdict import make_verdict, verdict_markdown
from transformer_jax.reproduction.verdict_file import (
    PAGE,
    TRANSLATIONS,
    VERDICT,
    check_free_of_others,
    known_verdict,
)
from transformer_jax.storage.json_values import finite_or_none
from transformer_jax.storage.path_names import readable_name
from transformer_jax.storage.work_directory import (
    StoredPath,
    work_directory,
    write_whole,
)
from transformer_jax.tokenizer.tokenizer import load_tokenizer
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.train import train

logger = logging.getLogger(__name__)


def reproduce(
    target: str,
    workdir: str | os.PathLike[str],
    *,
    config: ExperimentConfig | None = None,
    scale: float = 1.0,
    width_scale: float = 1.0,
    depth_scale: float = 1.0,
    alone: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains, averages, decodes and scores as the paper did; returns the verdict.

    The work directory gets `verdict.json`, `verdict.md` and `translations.txt` beside
    what `train` writes. The same call continues where it was interrupted: training at
    its last checkpoint, and what follows where it has not ended. In a run of several
    processes all must call it.

    Args:
        target: a result of the paper, as `table2-base-en-de` or `table3-A1`.
        config: its settings, where they are to differ from those of a full run, see
            `target_settings`; as for data of one's own.
        scale: part of the updates, of the warm-up and of the updates between
            checkpoints; those that `config` changes stay as they are.
        width_scale: part of d_model, d_ff, d_k and d_v, likewise.
        depth_scale: part of the layers, likewise.
        alone: as in `train`.
        progress: show progress on standard error.

    Raises:
        InputError: there is no such result, or as `train`.

    Example:
        >>> tj.reproduce("table3-Z", "runs/Z")
        Traceback (most recent call last):
            ...
        transformer_jax.errors.InputError: table3-Z is not a result of the paper: did \
you mean table3-E?

    Paper: Tables 2, 3 and 4.
    """
    found = find_target(target)
    for name, value in (
        ("scale", scale),
        ("width_scale", width_scale),
        ("depth_scale", depth_scale),
    ):
        require_type(name, value, float)
    parts = Scale(scale, width_scale, depth_scale)
    if config is None:
        config = target_settings(found)
    require_config(config, ExperimentConfig)
    config = scale_settings(config, found, parts)
    folder = work_directory(workdir)
    title = f"{target} (at {parts})" if str(parts) else target
    _check_before_training(config, found, folder)
    logger.info("%s: training, %d updates", title, config.training.num_steps)
    train(config, folder, progress=progress, alone=alone)
    which = _average(found, config.training, folder, title)
    steps = averaged_steps(averages(folder)[-1]) if which == "average" else []
    text = _text_to_score(config, found)
    digest = _text_digest(text)
    same = {
        "target": target,
        "config_digest": surroundings(config)["config_digest"],
        "averaged_steps": steps,
        "text_digest": digest,
        "train_digest": trained_text(folder),
    }
    known = known_verdict(folder, same)
    if known is not None:
        logger.info("%s: the verdict was there", title)
        return known
    logger.info("%s: decoding and scoring %s", title, text.name)
    try:
        result = _evaluate(found, config, text, folder, which, progress)
    except DamagedCheckpoint as error:
        if which != "average":
            raise
        logger.warning("%s It is made again.", error)
        _average(found, config.training, folder, title, anew=True)
        result = _evaluate(found, config, text, folder, which, progress)
    verdict = _judge(found, config, parts, folder, result)
    verdict |= {"text": readable_name(text.name), "text_digest": digest}
    if is_primary():
        _write(folder, verdict, result)
    return verdict


def _check_before_training(
    config: ExperimentConfig, target: Target, folder: StoredPath
) -> None:
    """Checks what would else be known only when a run was trained.

    Raises:
        InputError: the text cannot be read, or the directory has another run or
            verdict.
    """
    check_texts_stay(config)
    check_same_run(config, folder)
    check_free_of_others(target.name, folder)
    if not config.data.dataset:  # That is made, or fetched, by training.
        _text_to_score(config, target)


def _text_to_score(config: ExperimentConfig, target: Target) -> SentencePairs:
    """Returns what is scored.

    Raises:
        InputError: the settings name none, or it cannot be read.
    """
    with primary_first("reading the text that is scored"):
        text = load_split(config, target.split)
    if text is None:
        section, kind = ("treebank", "") if target.is_parsing else ("data", "source_")
        raise InputError(
            f"{target.name} is scored on {target.test_set}: set {section}."
            f"{target.split}_{kind}path{'s' * target.is_parsing}."
        )
    check_usable(text)
    return text


def _average(
    target: Target,
    training: TrainingConfig,
    folder: StoredPath,
    title: str,
    *,
    anew: bool = False,
) -> Which:
    """Returns which checkpoint is evaluated, once it is there."""
    if target.num_averaged == 1:
        return "latest"
    every = training.checkpoint_every_steps or 1
    with primary_first("the average of checkpoints"):
        # Not those of an interruption. A run of few updates has fewer.
        planned = [
            step
            for step in steps_in(folder)
            if step % every == 0 or step == training.num_steps
        ]
        steps = planned[-target.num_averaged :]
        there = averages(folder)
        is_there = there and averaged_steps(there[-1]) == steps
        if is_primary() and (anew or not is_there):
            logger.info("%s: averaging %d checkpoints", title, len(steps))
            average_checkpoints(folder, steps=steps)
    return "average"


def _evaluate(
    target: Target,
    config: ExperimentConfig,
    text: SentencePairs,
    folder: StoredPath,
    which: Which,
    progress: bool,
) -> EvaluationResult:
    """Returns the scores; text and search are of the settings, not of the run's."""
    trees = None
    if target.is_parsing:
        trees = getattr(config.treebank, f"{target.split}_paths")
    return evaluate(
        folder,
        checkpoint=which,
        pairs=None if target.is_parsing else text,
        trees=trees,
        progress=progress,
        **dataclasses.asdict(config.decoding),
    )


def _text_digest(text: SentencePairs) -> str:
    """Returns a digest of what is scored: the file may have been edited since."""
    digest = hashlib.sha256()
    for pair in text:
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()


def _judge(
    target: Target,
    config: ExperimentConfig,
    scale: Scale,
    folder: StoredPath,
    result: EvaluationResult,
) -> dict[str, Any]:
    """Returns the verdict on translations or trees."""
    measured: dict[str, Any] = {
        "perplexity_per_subword": result.scores["perplexity"],
        "perplexity_per_word": None,
        "averaged_steps": result.scores["averaged_steps"] or [],
        "train_digest": trained_text(folder),
        **effort(config, read_metrics(folder)),
        **surroundings(config),
    }
    if target.is_parsing:
        scores = parsing_scores(result)
    else:
        scores = translation_scores(result, config.data)
        tokenizer = load_tokenizer(folder)
        measured |= perplexities(result.scores["nll"], result.references, tokenizer)
    number = len(result.references)
    return make_verdict(target, config, scale, scores, number, measured)


def _write(
    folder: StoredPath, verdict: Mapping[str, Any], result: EvaluationResult
) -> None:
    """Writes the verdict, as a page too, and what was scored; the verdict last."""
    lines = map(text_line, result.translations)
    files = {
        TRANSLATIONS: "".join(f"{line}\n" for line in lines),
        PAGE: verdict_markdown(verdict),
        VERDICT: json.dumps(finite_or_none(verdict), indent=2, ensure_ascii=False),
    }
    for name, text in files.items():
        write_whole(folder / name, text.encode())
