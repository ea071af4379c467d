"""Section 5.4: label smoothing hurts perplexity and improves BLEU."""

import dataclasses
import os
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.evaluation.evaluate import EvaluationResult, evaluate
from transformer_jax.reproduction.claims.report import write_claim
from transformer_jax.reproduction.claims.variants import (
    change,
    train_variants,
    validation_pairs,
)
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.text_metrics.bleu import bleu_metric
from transformer_jax.text_metrics.languages import language_code
from transformer_jax.text_metrics.protocols import make_protocol, prepare_text
from transformer_jax.text_metrics.significance import Comparison, paired_bootstrap

EPSILONS = (0.0, 0.1, 0.2)


def measure_label_smoothing(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Returns perplexity and BLEU of models with and without label smoothing.

    The claim holds if 0.1, the paper's, has a higher perplexity than 0, and a higher
    BLEU; it is not decided if the 95 % interval of the difference in BLEU, by paired
    bootstrap, has 0 in it. Accuracy is not measured.
    """
    pairs = validation_pairs(config)
    variants = {
        f"epsilon_{epsilon}": change(config, training__label_smoothing=epsilon)
        for epsilon in EPSILONS
    }
    rows, results = [], []
    for name, _ in train_variants(variants, workdir, progress=progress):
        folder = work_directory(workdir) / name
        # Text and search that are asked for: those of the run may be older.
        result = evaluate(
            folder,
            pairs=pairs,
            progress=progress,
            **dataclasses.asdict(config.decoding),
        )
        results.append(result)
        scores = result.scores
        rows.append(
            {
                "label_smoothing": variants[name].training.label_smoothing,
                "perplexity": scores["perplexity"],
                "bleu": scores["bleu"],
            }
        )
    without, paper = rows[0], rows[1]
    perplexity = paper["perplexity"] - without["perplexity"]
    bleu = _bleu_difference(config, results[1], results[0])
    low, high = bleu.interval
    return write_claim(
        workdir,
        config,
        {
            "claim": "Label smoothing hurts perplexity, but improves accuracy and "
            "BLEU.",
            "section": "5.4",
            "holds": None if low <= 0 <= high else perplexity > 0 and low > 0,
            "verdict": f"With 0.1 perplexity is {perplexity:+.3f} and BLEU "
            f"{bleu.difference:+.2f} (95 % interval {low:+.2f} to {high:+.2f}) against "
            "none. Accuracy was not measured.",
            "bleu_difference_interval": [low, high],
            "bleu_signature": results[0].scores["bleu_signature"],
            "beam_size": config.decoding.beam_size,
            "num_sentences": len(results[0].references),
            "rows": rows,
        },
        x="label_smoothing",
        y=("perplexity", "bleu"),
    )


def _bleu_difference(
    config: ExperimentConfig, system: EvaluationResult, baseline: EvaluationResult
) -> Comparison:
    """Returns how BLEU of two runs on the same text differs."""
    language = language_code(config.data.target_language)
    protocol = make_protocol("sacrebleu", language=language)
    texts = system.translations, baseline.translations, system.references
    hypotheses, other, references = (prepare_text(text, protocol) for text in texts)
    return paired_bootstrap(bleu_metric(protocol), hypotheses, other, [references])
