"""Section 3.2.1: without 1/sqrt(d_k), large d_k makes attention learn worse."""

import os
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.evaluation.corpus_loss import corpus_loss
from transformer_jax.reproduction.claims.entropy import KINDS, mean_entropies
from transformer_jax.reproduction.claims.report import write_claim
from transformer_jax.reproduction.claims.variants import (
    change,
    train_variants,
    validation_pairs,
)

D_K = (8, 32, 128)
_MOST_PAIRS = 500


def measure_attention_scale(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains models with and without the scale over d_k; returns their losses.

    The claim holds if the loss without the scale is higher at the largest d_k, and by
    more than at the smallest.
    """
    text = validation_pairs(config)
    pairs = text.read(0, min(len(text), _MOST_PAIRS))
    sources, references = map(list, zip(*pairs, strict=True))
    variants = {
        f"d_k_{d_k}_{'scaled' if scale is None else 'unscaled'}": change(
            config, model__d_k=d_k, model__attention_scale=scale
        )
        for d_k in D_K
        for scale in (None, 1.0)
    }
    rows = []
    for name, translator in train_variants(variants, workdir, progress=progress):
        model = variants[name].model
        entropies = mean_entropies(translator, pairs)
        rows.append(
            {
                "d_k": model.key_size,
                "scaled": model.attention_scale is None,
                "nll": corpus_loss(translator, sources, references)["nll"],
                **{f"entropy_{kind}": entropies[kind] for kind in KINDS},
            }
        )
    losses = {(row["d_k"], row["scaled"]): row["nll"] for row in rows}
    costs = {d_k: losses[d_k, False] - losses[d_k, True] for d_k in D_K}
    first, last = costs[D_K[0]], costs[D_K[-1]]
    return write_claim(
        workdir,
        config,
        {
            "claim": "Without the scale 1/sqrt(d_k), attention with a large d_k "
            "performs worse.",
            "section": "3.2.1",
            "holds": last > 0 and last > first,
            "verdict": f"Without the scale the loss is {first:+.3f} nats higher at "
            f"d_k = {D_K[0]} and {last:+.3f} at {D_K[-1]}.",
            "num_sentences": len(pairs),
            "rows": rows,
        },
        x="d_k",
        y=("nll", "entropy_encoder"),
        by="scaled",
    )
