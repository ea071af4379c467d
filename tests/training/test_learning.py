"""A trained model translates sentences it has never seen, also from its checkpoint."""

import pytest
from tiny_runs import reversed_pairs, reversing_run

from transformer_jax.evaluation.evaluate import evaluate


@pytest.mark.slow
def test_sentences_are_reversed_that_were_never_seen():
    workdir, _ = reversing_run()
    known = {source for source, _ in reversed_pairs(5_000)}
    unseen = [pair for pair in reversed_pairs(400, seed=1) if pair[0] not in known]
    result = evaluate(workdir, pairs=unseen)
    assert result.scores["bleu"] > 90
    assert evaluate(workdir, pairs=unseen, beam_size=1).scores["bleu"] > 90
