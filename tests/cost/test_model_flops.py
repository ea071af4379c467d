"""Operations of training against counts by hand."""

from transformer_jax.config.model import ModelConfig
from transformer_jax.cost.model_flops import (
    attention_score_flops,
    flops_per_target_token,
    training_flops,
)
from transformer_jax.model.size import parameter_counts


def test_flops_are_six_for_each_weight_that_a_token_is_multiplied_with():
    config = ModelConfig.base()
    biases = 12 * (2048 + 512)
    norms = 6 * 2 * 1024 + 6 * 3 * 1024
    weights = sum(parameter_counts(config).values()) - biases - norms
    # The shared matrix is multiplied with once: to embed is to look up.
    assert flops_per_target_token(config) == 6 * weights


def test_source_and_target_tokens_pass_different_weights():
    config = ModelConfig.base()
    source, target = training_flops(config, 1, 0), training_flops(config, 0, 1)
    assert source + target == flops_per_target_token(config)
    # The encoder, and the keys and values that the decoder makes of what it gives.
    encoder = 6 * (4 * 512 * 512 + 2 * 512 * 2048)
    assert source == 6 * (encoder + 6 * 2 * 512 * 512)
    assert training_flops(config, 30, 20) == 30 * source + 20 * target


def test_attention_scores_cost_two_products_for_each_pair_of_positions():
    config = ModelConfig.base(num_encoder_layers=2, num_decoder_layers=3)
    # Queries with keys and weights with values, 64 wide, forward and twice backward.
    pair = 3 * 2 * 8 * (64 + 64)
    pairs = 2 * 10 * 10 + 3 * 7 * (7 + 10)
    assert attention_score_flops(config, 5, 10, 7) == 5 * pairs * pair
