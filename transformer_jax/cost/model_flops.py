"""Floating point operations of training, counted from the sizes of the model."""

from transformer_jax.config.model import ModelConfig


def flops_per_target_token(config: ModelConfig) -> int:
    """Returns the operations of training on one target token and one source token.

    Each weight of a matrix product counts six operations for each token: two forward,
    four backward. The output projection is included. The products that form attention
    scores and apply them are not: they grow with the length of the sentence and are
    less than 5 percent of the total for sentences.
    """
    return training_flops(config, 1, 1)


def training_flops(config: ModelConfig, source_tokens: int, target_tokens: int) -> int:
    """Returns the operations of training on these numbers of tokens.

    Counted as in `flops_per_target_token`. Source tokens pass the encoder and the key
    and value projections of cross-attention; target tokens pass everything else.
    """
    heads, keys, values = config.num_heads, config.key_size, config.value_size
    memory = config.d_model * heads * (keys + values)
    attention = 2 * memory
    feed_forward = 2 * config.d_model * config.d_ff
    encoder = config.num_encoder_layers * (attention + feed_forward)
    decoder = config.num_decoder_layers * (2 * attention - memory + feed_forward)
    output = config.output_vocab_size * config.d_model
    by_source = encoder + config.num_decoder_layers * memory
    return 6 * (source_tokens * by_source + target_tokens * (decoder + output))


def attention_score_flops(
    config: ModelConfig, rows: int, source_length: int, target_length: int
) -> int:
    """Returns the operations of training that form attention scores and apply them.

    Rows count whole: most kernels also compute what packing and masks exclude.
    """
    encoder = config.num_encoder_layers * source_length**2
    decoder = (
        config.num_decoder_layers * target_length * (target_length + source_length)
    )
    width = config.num_heads * (config.key_size + config.value_size)
    return 6 * rows * width * (encoder + decoder)
