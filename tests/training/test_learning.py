"""A trained model translates sentences it has never seen, also from its checkpoint."""

import pytest
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.evaluation.evaluate import evaluate
from transformer_jax.training.train import train


@pytest.mark.slow
def test_sentences_are_reversed_that_were_never_seen(tmp_path):
    config = tiny_config(
        model__d_model=64,
        model__d_ff=128,
        model__dropout_rate=0.0,
        data__batch_tokens=64 * 24,
        optimizer__warmup_steps=200,
        optimizer__learning_rate_scale=1.0,
        optimizer__cooldown_steps=200,
        training__num_steps=500,
        training__log_every_steps=100,
        decoding__batch_tokens=1024,
    )
    pairs = reversed_pairs(5_000)
    known = {source for source, _ in pairs}
    unseen = [pair for pair in reversed_pairs(400, seed=1) if pair[0] not in known]
    train(config, tmp_path, train_pairs=pairs, progress=False)
    result = evaluate(tmp_path, pairs=unseen)
    assert result.scores["bleu"] > 90
    assert evaluate(tmp_path, pairs=unseen, beam_size=1).scores["bleu"] > 90
