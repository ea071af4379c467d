"""The entropy of attention weights against NumPy."""

import numpy as np
import pytest
from tiny_runs import trained_run

from transformer_jax.reproduction.claims.entropy import KINDS, mean_entropies


@pytest.mark.slow
def test_it_is_the_mean_over_the_queries_of_all_heads():
    run = trained_run()
    translator = run.result.translator
    pairs = run.validation_pairs[:7]
    expected = {}
    for kind in KINDS:
        entropies = []
        for source, target in pairs:
            weights = np.float64(getattr(translator.attention(source, target), kind))
            logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
            entropies += [*-(weights * logs).sum(-1).mean((0, 1))]
        expected[kind] = np.mean(entropies)
    found = mean_entropies(translator, pairs)
    assert found == pytest.approx(expected, rel=1e-4)
