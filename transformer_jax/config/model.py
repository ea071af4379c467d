"""The shape of the model. Every default is the paper's base model."""

from dataclasses import dataclass
from typing import Any, Literal

from transformer_jax.config.checks import (
    require_at_least,
    require_float32,
    require_positive,
    require_rates,
    require_sizes,
    require_types,
)
from transformer_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the Transformer. Paper: section 3, Table 3.

    Raises:
        InputError: a value of the wrong type or range, or two that do not go together.
            The message names the setting, as `model.num_heads`.

    Example:
        >>> model = tj.ModelConfig.big(dropout_rate=0.1)  # English-French
        >>> model.d_model, model.key_size
        (1024, 64)
    """

    vocab_size: int = 37_000
    """Rows of the (source) embedding; the tokenizer is trained to this size."""
    target_vocab_size: int | None = None
    """Target rows where the two sides have separate vocabularies; None = vocab_size."""
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    d_model: int = 512
    d_ff: int = 2048
    num_heads: int = 8
    d_k: int | None = None
    """Width of a query or key per head; None = d_model / num_heads."""
    d_v: int | None = None
    """Width of a value per head; None = d_model / num_heads."""
    norm: Literal["post", "pre"] = "post"
    """post: LayerNorm(x + Sublayer(x)), the paper; pre: x + Sublayer(LayerNorm(x))."""
    norm_epsilon: float = 1e-6
    """Added to the variance in LayerNorm. The paper gives no value; this is that of its
    reference implementation."""
    attention_bias: bool = False
    """Biases in the projections of attention, as Marian has; the paper has none."""
    output_bias: bool = False
    """A bias for each token's logit, as Marian has; the paper has none."""
    activation: Literal["relu", "gelu", "swish"] = "relu"
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    max_length: int = 1024
    """Rows of a learned position table; sinusoids have no limit."""
    share_embeddings: Literal["all", "target", "none"] = "all"
    """all: one matrix for source, target, output; target: one for target and output."""
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.0
    activation_dropout_rate: float = 0.0
    attention_window: int | None = None
    """Self-attention sees this many positions to each side; None = all of them."""
    attention_scale: float | None = None
    """What the scores of attention are multiplied by. None = 1 / sqrt(d_k), the paper;
    1 = the dot-product attention that section 3.2.1 compares it with."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Dtype of matrix products. Softmax, LayerNorm statistics and loss are float32."""
    scan_unroll: int | None = None
    """Layers in each iteration of the scan over layers. More take longer to compile and
    move less memory. None = all on CPUs if there are at most 4, else 1."""
    remat: Literal["none", "cheap", "layer"] = "none"
    """What the backward pass computes again instead of keeping it in memory. cheap:
    what costs little, such as normalisation and attention weights. layer: everything
    in a layer except its input."""
    attention_kernel: Literal["xla", "pallas", "cudnn"] | None = None
    """Implementation of attention in training: the compiler's (xla), a kernel for TPUs
    (pallas), or NVIDIA's library (cudnn). None = pallas on TPUs if
    attention_dropout_rate is 0, else xla."""

    def __post_init__(self) -> None:
        require_types("model", self)
        require_at_least(
            "model", self,
            vocab_size=1, target_vocab_size=1, num_encoder_layers=1,
            num_decoder_layers=1, d_model=1, d_ff=1, num_heads=1, d_k=1, d_v=1,
            max_length=1, attention_window=1, scan_unroll=1,
        )  # fmt: skip
        require_sizes(
            "model", self,
            "vocab_size", "target_vocab_size", "num_encoder_layers",
            "num_decoder_layers", "d_model", "d_ff", "num_heads", "d_k", "d_v",
            "max_length", "attention_window", "scan_unroll",
        )  # fmt: skip
        require_rates(
            "model", self,
            "dropout_rate", "attention_dropout_rate", "activation_dropout_rate",
        )  # fmt: skip
        require_positive("model", self, "attention_scale", "norm_epsilon")
        require_float32("model", self, "attention_scale", "norm_epsilon")
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise InputError(
                f"model.d_model={self.d_model} must be even for sinusoidal positions."
            )
        if self.attention_kernel in ("pallas", "cudnn") and self.attention_dropout_rate:
            raise InputError(
                f"model.attention_kernel={self.attention_kernel!r} needs "
                "model.attention_dropout_rate=0: only 'xla' drops attention weights."
            )
        if None in (self.d_k, self.d_v) and self.d_model % self.num_heads:
            raise InputError(
                f"model.num_heads={self.num_heads} must divide "
                f"model.d_model={self.d_model}, or set model.d_k and model.d_v."
            )
        if self.share_embeddings == "all" and self.output_vocab_size != self.vocab_size:
            raise InputError(
                "model.share_embeddings='all' needs one vocabulary, but "
                f"model.target_vocab_size={self.target_vocab_size} is not "
                f"model.vocab_size={self.vocab_size}: use 'target' or 'none'."
            )

    @property
    def key_size(self) -> int:
        """d_k, or its default."""
        return self.d_k or self.d_model // self.num_heads

    @property
    def value_size(self) -> int:
        """d_v, or its default."""
        return self.d_v or self.d_model // self.num_heads

    @property
    def output_vocab_size(self) -> int:
        """Rows of the target embedding and of the pre-softmax projection."""
        return self.target_vocab_size or self.vocab_size

    @classmethod
    def base(cls, **changes: Any) -> "ModelConfig":
        """The paper's base model, 65M parameters."""
        return cls(**changes)

    @classmethod
    def big(cls, **changes: Any) -> "ModelConfig":
        """The paper's big model, 213M parameters."""
        big = {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "dropout_rate": 0.3}
        return cls(**{**big, **changes})

    @classmethod
    def tiny(cls, **changes: Any) -> "ModelConfig":
        """A model for tests and first steps, not the paper's.

        Its vocabulary of 64 is for made-up data: real text needs a `vocab_size` of some
        thousands, as `tiny(vocab_size=2_000)`.
        """
        tiny = {
            "vocab_size": 64, "d_model": 32, "d_ff": 64, "num_heads": 4,
            "num_encoder_layers": 2, "num_decoder_layers": 2,
        }  # fmt: skip
        return cls(**{**tiny, **changes})
