"""Section 5.4: label smoothing hurts perplexity and improves BLEU."""

import os
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.evaluation.evaluate import evaluate
from transformer_jax.reproduction.claims.report import write_claim
from transformer_jax.reproduction.claims.variants import change, train_variants
from transformer_jax.storage.work_directory import work_directory

EPSILONS = (0.0, 0.1, 0.2)


def measure_label_smoothing(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Returns perplexity and BLEU of models with and without label smoothing.

    The claim holds if 0.1, the paper's, has a higher perplexity than 0, and a higher
    BLEU.
    """
    variants = {
        f"epsilon_{epsilon}": change(config, training__label_smoothing=epsilon)
        for epsilon in EPSILONS
    }
    rows = []
    for name, _ in train_variants(variants, workdir, progress=progress):
        folder = work_directory(workdir) / name
        scores = evaluate(folder, split="validation", progress=progress).scores
        rows.append(
            {
                "label_smoothing": variants[name].training.label_smoothing,
                "perplexity": scores["perplexity"],
                "bleu": scores["bleu"],
            }
        )
    without, paper = rows[0], rows[1]
    perplexity, bleu = (paper[name] - without[name] for name in ("perplexity", "bleu"))
    return write_claim(
        workdir,
        config,
        {
            "claim": "Label smoothing hurts perplexity, but improves accuracy and "
            "BLEU.",
            "section": "5.4",
            "holds": perplexity > 0 and bleu > 0,
            "verdict": f"With 0.1 perplexity is {perplexity:+.3f} and BLEU {bleu:+.2f} "
            "against none.",
            "rows": rows,
        },
        x="label_smoothing",
        y=("perplexity", "bleu"),
    )
