"""Settings of Marian's models as Hugging Face writes them, from and to ours.

What the format cannot hold, or what this package cannot compute, is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.tokenizer.tokenizer import Tokenizer

# The LayerNorm of Marian's models in transformers is that of torch.
NORM_EPSILON = 1e-5
_ACTIVATIONS = {"relu": "relu", "gelu": "gelu_new", "swish": "swish"}
_FROM_ACTIVATIONS = {
    "relu": "relu",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "swish": "swish",
    "silu": "swish",
}
# Settings of a model whose other values are of another architecture.
_REQUIRED = {
    "model_type": "marian",
    "scale_embedding": True,
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
}
_MAX_POSITIONS = 1024


def check_can_be_marian(model: ModelConfig) -> None:
    """Checks that Marian's format in transformers can hold a model.

    Raises:
        InputError: it cannot; the message names the setting.
    """
    default = model.d_model // model.num_heads
    is_whole = model.d_model % model.num_heads == 0
    impossible = {
        "norm": model.norm != "post",
        "positions": model.positions != "sinusoidal",
        "d_k": model.key_size != default or not is_whole,
        "d_v": model.value_size != default or not is_whole,
        "attention_window": model.attention_window is not None,
        "attention_scale": model.attention_scale is not None,
        "norm_epsilon": model.norm_epsilon > NORM_EPSILON,
    }
    needed = {
        "norm": "'post'",
        "positions": "'sinusoidal'",
        "d_k": f"d_model / num_heads = {model.d_model / model.num_heads:g}",
        "d_v": f"d_model / num_heads = {model.d_model / model.num_heads:g}",
        "attention_window": "none",
        "attention_scale": "none",
        "norm_epsilon": f"at most {NORM_EPSILON:g}, which it has",
    }
    for name, is_impossible in impossible.items():
        if is_impossible:
            raise InputError(
                f"model.{name}={getattr(model, name)!r} cannot be held by Marian's "
                f"format, which needs {needed[name]}: this model stays here."
            )


def to_marian_settings(
    config: ExperimentConfig, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Returns the contents of `config.json`.

    Raises:
        InputError: the format cannot hold the model.
    """
    model = config.model
    check_can_be_marian(model)
    layers = {
        f"{side}_{name}": value
        for side, number in (
            ("encoder", model.num_encoder_layers),
            ("decoder", model.num_decoder_layers),
        )
        for name, value in {
            "layers": number,
            "ffn_dim": model.d_ff,
            "attention_heads": model.num_heads,
            "layerdrop": 0.0,
        }.items()
    }
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "vocab_size": model.vocab_size,
        "decoder_vocab_size": model.output_vocab_size,
        "d_model": model.d_model,
        **layers,
        "activation_function": _ACTIVATIONS[model.activation],
        "dropout": model.dropout_rate,
        "attention_dropout": model.attention_dropout_rate,
        "activation_dropout": model.activation_dropout_rate,
        "max_position_embeddings": max_positions(config),
        "scale_embedding": True,
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "share_encoder_decoder_embeddings": model.share_embeddings == "all",
        "tie_word_embeddings": model.share_embeddings != "none",
        **token_ids(tokenizer),
        "forced_eos_token_id": None,
        "dtype": "float32",
    }


def max_positions(config: ExperimentConfig) -> int:
    """Returns the rows of the table of sinusoids, which have no limit here."""
    data, extra = config.data, config.decoding.max_extra_length
    return max(_MAX_POSITIONS, data.source_length + extra, data.target_length)


def token_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    """Returns the ids of the special tokens, as `config.json` names them."""
    is_padding = tokenizer.bos_id == tokenizer.pad_id
    return {
        "pad_token_id": tokenizer.pad_id,
        "bos_token_id": None if is_padding else tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "decoder_start_token_id": tokenizer.bos_id,
    }


def to_generation_settings(
    config: ExperimentConfig, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Returns the contents of `generation_config.json`: the run's search.

    GNMT's length penalty, which transformers does not have, becomes length ** alpha
    with the same alpha. Coverage penalty and sampling are left out.
    """
    decoding = config.decoding
    is_off = decoding.length_penalty == "none"
    settings: dict[str, Any] = {
        **token_ids(tokenizer),
        "forced_eos_token_id": None,
        "num_beams": decoding.beam_size,
        "length_penalty": 0.0 if is_off else float(decoding.length_penalty_alpha),
        "early_stopping": "never" if decoding.early_stopping == "exact" else True,
        "max_length": max_positions(config) // 2,
    }
    if decoding.beam_size == 1:  # transformers warns of what greedy search ignores.
        del settings["length_penalty"], settings["early_stopping"]
    if decoding.min_length:
        settings["min_new_tokens"] = decoding.min_length
    if decoding.no_repeat_ngram_size is not None:
        settings["no_repeat_ngram_size"] = decoding.no_repeat_ngram_size
    if decoding.forbidden_tokens:
        settings["bad_words_ids"] = [[token] for token in decoding.forbidden_tokens]
    return settings


def from_marian_settings(
    settings: Mapping[str, Any], *, attention_bias: bool, output_bias: bool
) -> ModelConfig:
    """Returns the settings of a model from the contents of `config.json`.

    Raises:
        InputError: it is another architecture; the message names the setting.
    """
    for name, required in _REQUIRED.items():
        if settings.get(name, required) != required:
            raise InputError(
                f"{name}={settings[name]!r} is not {required!r}: only Marian's models "
                "as OPUS-MT has them can be imported."
            )
    sizes = {
        name: _one_of_both(settings, name) for name in ("ffn_dim", "attention_heads")
    }
    activation = settings.get("activation_function")
    if activation not in _FROM_ACTIVATIONS:
        raise InputError(
            f"activation_function={activation!r} is not known: expected one of "
            f"{', '.join(_FROM_ACTIVATIONS)}."
        )
    vocab_size = _size(settings, "vocab_size")
    target_size = vocab_size
    if settings.get("decoder_vocab_size"):
        target_size = _size(settings, "decoder_vocab_size")
    shared = settings.get("share_encoder_decoder_embeddings", True)
    tied = settings.get("tie_word_embeddings", True)
    if shared and not tied:
        raise InputError(
            "tie_word_embeddings=False with share_encoder_decoder_embeddings=True has "
            "no counterpart here: source and target share a matrix, which is also that "
            "of the output."
        )
    is_other = target_size != vocab_size and not shared
    return ModelConfig(
        vocab_size=vocab_size,
        target_vocab_size=target_size if is_other else None,
        num_encoder_layers=_size(settings, "encoder_layers"),
        num_decoder_layers=_size(settings, "decoder_layers"),
        d_model=_size(settings, "d_model"),
        d_ff=sizes["ffn_dim"],
        num_heads=sizes["attention_heads"],
        norm_epsilon=NORM_EPSILON,
        attention_bias=attention_bias,
        output_bias=output_bias,
        activation=_FROM_ACTIVATIONS[activation],  # type: ignore[arg-type]
        share_embeddings="all" if shared else ("target" if tied else "none"),
        dropout_rate=_number(settings, "dropout", 0.1),
        attention_dropout_rate=_number(settings, "attention_dropout", 0.0),
        activation_dropout_rate=_number(settings, "activation_dropout", 0.0),
    )


def position_limit(settings: Mapping[str, Any]) -> int:
    """Returns how many positions a model has, by the contents of `config.json`.

    Raises:
        InputError: it is no number, or less than 2.
    """
    if settings.get("max_position_embeddings") is None:
        return _MAX_POSITIONS
    limit = _size(settings, "max_position_embeddings")
    if limit < 2:
        raise InputError(f"max_position_embeddings={limit} must be at least 2.")
    return limit


def _one_of_both(settings: Mapping[str, Any], name: str) -> int:
    """Returns a size that encoder and decoder share."""
    encoder, decoder = (_size(settings, f"{side}_{name}") for side in _SIDES)
    if encoder != decoder:
        raise InputError(
            f"encoder_{name}={encoder} is not decoder_{name}={decoder}: encoder and "
            "decoder layers are of one size here."
        )
    return encoder


_SIDES = ("encoder", "decoder")


def _size(settings: Mapping[str, Any], name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{name}={value!r} must be an integer.")
    return value


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    value = settings.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{name}={value!r:.60} must be a number.")
    return float(value)
