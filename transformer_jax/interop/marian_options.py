"""Options of Marian's training and search, as our settings.

What this package cannot compute is refused by name.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.marian_npz import embedding_rows


def config_of_npz(
    options: Mapping[str, Any], npz: Mapping[str, np.ndarray], *, own_positions: bool
) -> ModelConfig:
    """Returns the settings of a model from the options it was trained with.

    Args:
        options: of `special:model.yml` in the file.
        own_positions: whether positions are Marian's own, as a learned table.

    Raises:
        InputError: it is another architecture; the message names the option.
    """
    _check_options(options)
    has_output = any(f"decoder_ff_logit_out_{name}" in npz for name in ("W", "Wt"))
    is_shared = "Wemb" in npz
    sharing = "none" if has_output else ("all" if is_shared else "target")
    return ModelConfig(
        # As many for both sides, so that the last token of either is the same.
        vocab_size=max(embedding_rows(npz)) + 1,
        num_encoder_layers=options["enc-depth"],
        num_decoder_layers=options["dec-depth"],
        d_model=options["dim-emb"],
        d_ff=options["transformer-dim-ffn"],
        num_heads=options["transformer-heads"],
        norm="pre" if options.get("transformer-preprocess") == "n" else "post",
        norm_epsilon=1e-6,  # In its source, not in its options.
        attention_bias=True,
        output_bias=True,
        activation=options.get("transformer-ffn-activation", "relu"),
        positions="learned" if own_positions else "sinusoidal",
        share_embeddings=sharing,  # type: ignore[arg-type]
    )


_ONLY: dict[str, tuple[Any, ...]] = {
    "type": ("transformer",),
    "transformer-ffn-activation": ("relu", "swish"),
    "transformer-decoder-autoreg": ("self-attention",),
    "transformer-no-projection": (False,),
    "transformer-train-positions": (False,),
    "transformer-disable-position-embeddings": (False,),
    "transformer-pool": (False,),
    "transformer-postprocess-emb": ("", "d"),
    "transformer-ffn-depth": (2,),
    "transformer-decoder-ffn-depth": (0, 2),
    "transformer-tied-layers": ([], None),
    "factors-combine": ("sum", None),
    "lemma-dim-emb": (0,),
    "ulr": (False,),
}
"""Values of options that the model of the paper has a counterpart for. An option that
is not there has the first of them."""


def _check_options(options: Mapping[str, Any]) -> None:
    for name, allowed in _ONLY.items():
        if options.get(name, allowed[0]) not in allowed:
            known = " or ".join(repr(value) for value in allowed)
            raise InputError(
                f"the option {name}={options[name]!r} has no counterpart here: "
                f"expected {known}."
            )
    processes = tuple(
        options.get(f"transformer-{name}", "")
        for name in ("preprocess", "postprocess", "postprocess-top")
    )
    if processes not in (("", "dan", ""), ("n", "da", "n")):
        raise InputError(
            "the options transformer-preprocess, -postprocess and -postprocess-top "
            f"are {processes!r}: expected ('', 'dan', '') or ('n', 'da', 'n')."
        )
    sizes = "enc-depth", "dec-depth", "dim-emb", "transformer-dim-ffn"
    for name in (*sizes, "transformer-heads"):
        if type(options.get(name)) is not int:
            raise InputError(f"the option {name}={options.get(name)!r} is no number.")
    decoder = options.get("transformer-decoder-dim-ffn", 0)
    if decoder not in (0, options["transformer-dim-ffn"]):
        raise InputError(
            f"the option transformer-decoder-dim-ffn={decoder} is not "
            f"transformer-dim-ffn={options['transformer-dim-ffn']}: layers are of one "
            "size here."
        )


def decoding_of_options(
    options: Mapping[str, str], pad_id: int, unk_id: int
) -> DecodingConfig:
    """Returns settings of search from `decoder.yml`.

    Marian forbids the unknown token unless it is told otherwise. Its limit of outputs,
    three times the source, has no counterpart.

    Args:
        options: all as text.

    Raises:
        InputError: one has no counterpart.
    """
    try:
        alpha = float(options.get("normalize", 0))
        beam_size = int(options.get("beam-size", 12))
        word_penalty = float(options.get("word-penalty", 0))
    except (TypeError, ValueError) as error:
        raise InputError(f"{error}: a number was expected.") from None
    if word_penalty:
        raise InputError(
            f"the option word-penalty={word_penalty:g} has no counterpart here: "
            "expected 0."
        )
    allows_unknown = str(options.get("allow-unk", "false")).lower() == "true"
    return DecodingConfig(
        beam_size=beam_size,
        length_penalty="length" if alpha else "none",
        length_penalty_alpha=alpha or 0.6,
        forbidden_tokens=(pad_id,) if allows_unknown else (unk_id, pad_id),
    )
