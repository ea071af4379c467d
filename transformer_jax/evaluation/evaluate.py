"""Loss, perplexity, BLEU and other metrics of a data split."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from jax.sharding import Mesh

from transformer_jax.checkpoints.choosing import Which, checkpoint_dir
from transformer_jax.checkpoints.contents import AVERAGE, averaged_steps
from transformer_jax.checkpoints.reader import CHECKPOINTS
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.tree_pairs import TreePairs, tree_pairs
from transformer_jax.devices.defaults import decoding_dtypes
from transformer_jax.errors import InputError
from transformer_jax.evaluation.corpus_loss import corpus_loss
from transformer_jax.evaluation.corpus_text import choose_text
from transformer_jax.evaluation.text_scores import (
    Scoring,
    choose_scoring,
    text_scores,
)
from transformer_jax.parser.parser import Parser
from transformer_jax.parser.tree_scores import parse_and_score
from transformer_jax.parsing.treebank import TreeFiles
from transformer_jax.parsing.trees import Tree
from transformer_jax.progress import Progress
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.text_metrics.bleu import corpus_bleu
from transformer_jax.text_metrics.tokenizers import (
    SacrebleuTokenizer,
    check_tokenizer,
)
from transformer_jax.translation.arguments import require_translation
from transformer_jax.translation.translator import Translator

# Settings of decoding that are always reported; others only where they are changed.
_ALWAYS_REPORTED = (
    "beam_size",
    "length_penalty",
    "length_penalty_alpha",
    "max_extra_length",
)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a model on sentence pairs, with the translations that were scored.

    Example:
        >>> result = tj.evaluate(workdir, pairs=pairs[:2], progress=False)
        >>> len(result.translations), result.references[0] == pairs[0][1]
        (2, True)
    """

    scores: dict[str, Any]
    """Plain JSON values; the names are listed in `evaluate`."""
    sources: list[str]
    references: list[str]
    translations: list[str]


@refuse_misspelt_keywords
def evaluate(
    workdir: str | os.PathLike[str],
    *,
    split: Literal["train", "validation", "test"] = "test",
    checkpoint: Which = "latest",
    pairs: Iterable[tuple[str, str]] | None = None,
    corpus: str | None = None,
    trees: TreeFiles | None = None,
    tokenizer: SacrebleuTokenizer | None = None,
    well_formed: bool | None = None,
    progress: bool = True,
    **decoding: Unpack[DecodingSettings],
) -> EvaluationResult:
    """Returns the scores of a trained model on every pair of a split.

    Quality: `loss`, `nll` and `perplexity` per subword (nats), where a pair that is too
    long is taken in parts, as `tj.score` does, so that its memory does not grow with
    the square of its length; `bleu` (sacreBLEU),
    `chrf`, `chrf_plus_plus` and `ter`, and for English-German `paper_bleu` (tokenised,
    compounds split), all in percent, each with its signature, as `bleu_signature`;
    `num_sentences`. A text is English-German if the settings and the names of its files
    and of the training files say so, as far as they say anything.
    Of a parser, in place of these: `f1`, `recall`, `precision`, `complete_match`,
    `tagging_accuracy` as EVALB counts them, and `num_mended`; its `translations` are
    trees, whose punctuation has the tags of the gold trees, by which it is left out.
    Model: `model`, the name of its directory; `checkpoint`, the argument; `step`;
    `averaged_steps`, the steps of an averaged checkpoint; `ema_decay`.
    Translation: `beam_size`, `length_penalty`, `length_penalty_alpha`,
    `max_extra_length`, `compute_dtype`, and other decoding settings that differ from
    their default.

    Args:
        workdir: a work directory, or the directory of one checkpoint.
        split: the split of the run's data.
        checkpoint: "latest", "best", "average" or a step.
        pairs: (source, target) sentences in place of a split.
        corpus: one of `data.corpora` by its name: its split, or `pairs` with its tag.
        trees: of a parser: files or patterns of gold trees in place of a split, read as
            `treebank.test_paths` are.
        tokenizer: of sacreBLEU. None = `training.bleu_tokenizer`; where that is None,
            the one of the target language, see `corpus_bleu`.
        well_formed: of a parser, as in `Parser.parse`.
        progress: show progress on standard error.
        decoding: fields of `DecodingConfig` that replace the configured ones.

    Raises:
        InputError: no such checkpoint, no such data or corpus, a decoding setting that
            is unknown or refused, or a tokenizer that needs packages that are missing.

    Example:
        >>> result = tj.evaluate(workdir, pairs=[("A house.", "Ein Haus.")])
        >>> result.scores["num_sentences"], result.references
        (1, ['Ein Haus.'])

    Paper: section 6.1.
    """
    # A wrong value is refused before a model is loaded. Whether the run samples is not
    # known yet, so settings of sampling are let through.
    DecodingConfig(sampling=True).replace(**decoding)
    if tokenizer is not None:
        check_tokenizer(tokenizer)
    directory = checkpoint_dir(workdir, checkpoint)
    translator = Translator.from_checkpoint(workdir, checkpoint)
    config = translator.config
    config = config.replace(decoding=config.decoding.replace(**decoding))
    _check_task(config, pairs, trees, well_formed)
    if trees is None or corpus is not None:
        config, data = choose_text(config, split, pairs, corpus)
    else:
        data = tree_pairs(trees, config.treebank, "trees")
    if data is None:
        raise _no_data(workdir, split, config)
    sources, references = map(list, zip(*data, strict=True))
    shown_references = references
    if isinstance(data, TreePairs):
        shown_references = list(map(str, data.trees))
        parser = Parser(translator)
        # What no search can do is refused here, before the loss, which takes long.
        parser.parse([], well_formed=well_formed, **decoding)
        write = functools.partial(_parse, parser, data.trees, well_formed)
    else:
        scoring = choose_scoring(config, data, tokenizer)
        translator.translate([], **decoding)
        write = functools.partial(_translate, translator, sources, references, scoring)
    with Progress(len(sources), "sentences", shown=progress) as shown:
        # First: should it fail, the translations, which take long, were not made.
        shown.say("computing the loss")
        loss = corpus_loss(translator, sources, references)
        shown.say("loading or compiling programs")
        translations, quality = write(shown.show_done, **decoding)
        shown.show_done(len(sources))
        scores = {
            **loss,
            **quality,
            "num_sentences": len(sources),
            **_checkpoint_report(directory, checkpoint, config),
            **_decoding_report(config, translator.mesh),
        }
        shown.say("")
    return EvaluationResult(scores, sources, shown_references, translations)


def _no_data(
    workdir: str | os.PathLike[str], split: str, config: ExperimentConfig
) -> InputError:
    data = config.data
    where = f"data.{split}_source_path and data.{split}_target_path, or give pairs"
    others = data.files("validation")[0] or data.dataset
    if config.treebank.is_used:
        where = f"treebank.{split}_paths, or name files of trees"
        others = config.treebank.validation_paths
    hint = "; or evaluate split=validation" if others and split == "test" else ""
    return InputError(f"the run in {workdir} has no {split} data: set {where}{hint}.")


def _check_task(
    config: ExperimentConfig,
    pairs: Iterable[tuple[str, str]] | None,
    trees: TreeFiles | None,
    well_formed: bool | None,
) -> None:
    """Checks that what is given is of the task that the model has learnt.

    Raises:
        InputError: it is not.
    """
    if trees is not None and pairs is not None:
        raise InputError("pairs= and trees= exclude each other: keep one.")
    if pairs is not None:
        require_translation(config)
    if config.treebank.is_used:
        return
    for name, value in (("trees", trees), ("well_formed", well_formed)):
        if value is not None:
            raise InputError(
                f"{name}={value!r:.60} is of use to a parser only: this model "
                "translates."
            )


def _translate(
    translator: Translator,
    sources: list[str],
    references: list[str],
    scoring: Scoring,
    on_done: Callable[[int], None],
    **decoding: Unpack[DecodingSettings],
) -> tuple[list[str], dict[str, Any]]:
    """Returns translations and their scores."""
    n_best = translator.n_best(sources, 1, on_done=on_done, **decoding)
    translations = [best[0].text for best in n_best]
    return translations, text_scores(translations, references, scoring)


def _parse(
    parser: Parser,
    gold: list[Tree],
    well_formed: bool | None,
    on_done: Callable[[int], None],
    **decoding: Unpack[DecodingSettings],
) -> tuple[list[str], dict[str, Any]]:
    """Returns trees as brackets, and their scores."""
    trees, scores = parse_and_score(
        parser, gold, well_formed=well_formed, on_done=on_done, **decoding
    )
    return list(map(str, trees)), scores


def _checkpoint_report(
    directory: StoredPath, checkpoint: Which, config: ExperimentConfig
) -> dict[str, Any]:
    """Returns scores that tell which parameters were evaluated."""
    averaged = averaged_steps(directory)
    in_workdir = directory.parent.name in (CHECKPOINTS, AVERAGE)
    # A checkpoint that was copied may have any name.
    step = int(directory.name) if directory.name.isdecimal() else None
    return {
        "model": directory.parent.parent.name if in_workdir else directory.name,
        "checkpoint": checkpoint,
        "step": averaged[-1] if averaged else step,
        "averaged_steps": averaged,
        "ema_decay": config.training.ema_decay,
    }


def _decoding_report(config: ExperimentConfig, mesh: Mesh) -> dict[str, Any]:
    decoding = config.decoding
    reported = {
        field.name: getattr(decoding, field.name)
        for field in dataclasses.fields(decoding)
        if field.name in _ALWAYS_REPORTED
        or getattr(decoding, field.name) != field.default
    }
    dtype, _ = decoding_dtypes(config.model, decoding, mesh)
    return reported | {"compute_dtype": dtype}


def translation_scores(
    translator: Translator,
    sources: Sequence[str],
    references: Sequence[str],
    tokenizer: SacrebleuTokenizer,
    on_done: Callable[[int], None] | None = None,
) -> dict[str, float | str | None]:
    """Returns BLEU, its signature and chrF of the translations of `sources`.

    Args:
        tokenizer: of sacreBLEU.
        on_done: called with the number of sentences done, from time to time.
    """
    best = translator.n_best(sources, 1, on_done=on_done)
    scores = corpus_bleu(
        [found[0].text for found in best], references, tokenizer=tokenizer
    )
    return {
        "bleu": scores.bleu,
        "bleu_signature": scores.signature,
        "chrf": scores.chrf,
    }
