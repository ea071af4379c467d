"""Does a tokenizer fit a model?"""

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer


def check_vocabulary(tokenizer: Tokenizer, model: ModelConfig) -> None:
    """Checks that the model has one embedding row for each token id.

    Raises:
        InputError: the numbers differ.
    """
    expected = {
        "model.vocab_size": (model.vocab_size, tokenizer.source_vocab_size),
        "model.target_vocab_size": (
            model.output_vocab_size,
            tokenizer.target_vocab_size,
        ),
    }
    for setting, (rows, tokens) in expected.items():
        if rows != tokens:
            raise InputError(
                f"{setting}={rows} does not fit the tokenizer, which has {tokens} "
                f"tokens: set it to {tokens}, or train another tokenizer."
            )
