"""Does a tokenizer fit a model, and the settings?"""

from collections.abc import Sequence

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.symbols import find_split_symbol
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


def check_user_symbols(tokenizer: Tokenizer, symbols: Sequence[str]) -> None:
    """Checks that both vocabularies keep each of `tokenizer.user_symbols` whole.

    Raises:
        InputError: one does not.
    """
    models = {"source": tokenizer.source_model, "target": tokenizer.target_model}
    for side, model in models.items():
        symbol = find_split_symbol(model, symbols)
        if symbol is not None:
            raise InputError(
                f"tokenizer.user_symbols={list(symbols)!r:.200}: {symbol!r} is no "
                f"user-defined symbol of the {side} vocabulary, which may cut it in "
                "pieces: train that with user_defined_symbols of SentencePiece, or "
                "leave the symbol out."
            )
