"""Settings of an experiment. Every default is the paper's base model.

Frozen dataclasses, checked when they are made, free of hardware, files and
environment. Values that follow from others are properties. `None` means off, or
"follows from the other settings" where the comment says so.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from transformer_jax.errors import InputError


def _require(section: str, config: Any, **minimums: float) -> None:
    """Checks that each named field is None or at least its minimum."""
    for name, minimum in minimums.items():
        value = getattr(config, name)
        if value is not None and not value >= minimum:
            raise InputError(f"{section}.{name}={value} must be at least {minimum}.")


def _require_rates(section: str, config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not 0.0 <= value < 1.0:
            raise InputError(f"{section}.{name}={value} must be in [0, 1).")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the Transformer. Paper: section 3, Table 3."""

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
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products. Softmax, LayerNorm statistics and loss stay in float32."""
    scan_unroll: int = 1
    """Layers unrolled in each iteration of the scan; num layers = fully unrolled."""
    remat: Literal["none", "layer"] = "none"
    """layer: keep only each layer's input for the backward pass, recompute the rest."""

    def __post_init__(self) -> None:
        _require(
            "model", self,
            vocab_size=1, target_vocab_size=1, num_encoder_layers=1,
            num_decoder_layers=1, d_model=1, d_ff=1, num_heads=1, d_k=1, d_v=1,
            max_length=1, attention_window=1, scan_unroll=1,
        )  # fmt: skip
        _require_rates(
            "model", self,
            "dropout_rate", "attention_dropout_rate", "activation_dropout_rate",
        )  # fmt: skip
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise InputError(
                f"model.d_model={self.d_model} must be even for sinusoidal positions."
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
        """d_k, resolved."""
        return self.d_k or self.d_model // self.num_heads

    @property
    def value_size(self) -> int:
        """d_v, resolved."""
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
        """A model for tests and first steps, not the paper's."""
        tiny = {
            "vocab_size": 64, "d_model": 32, "d_ff": 64, "num_heads": 4,
            "num_encoder_layers": 2, "num_decoder_layers": 2,
        }  # fmt: skip
        return cls(**{**tiny, **changes})


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Subwords, learnt from the training text. Paper: section 5.1."""

    kind: Literal["bpe", "unigram"] = "bpe"
    shared: bool = True
    """One vocabulary for both languages, or one for each."""
    byte_fallback: bool = True
    """Characters outside the vocabulary become UTF-8 bytes, never <unk>."""
    character_coverage: float = 0.9995
    lowercase: bool = False
    max_sentences: int = 10_000_000
    """Most lines of training text the vocabulary is learnt from, evenly spaced."""

    def __post_init__(self) -> None:
        _require("tokenizer", self, max_sentences=1)
        if not 0.98 <= self.character_coverage <= 1.0:
            raise InputError(
                f"tokenizer.character_coverage={self.character_coverage} "
                "must be in [0.98, 1]."
            )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the pairs come from and how they fill a batch. Paper: section 5.1.

    Either `dataset` names a TFDS translation data set, or the `*_path` fields name
    text files, one sentence a line, plain or .gz. Pairs handed over from Python need
    neither.
    """

    source_language: str = "en"
    target_language: str = "de"
    dataset: str | None = None
    """TFDS name and configuration, as cldr_translate/en_de, wmt14_translate/de-en."""
    data_dir: str | None = None
    """Where TFDS keeps its data sets; None = its own default."""
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    train_source_path: str | None = None
    train_target_path: str | None = None
    validation_source_path: str | None = None
    validation_target_path: str | None = None
    test_source_path: str | None = None
    test_target_path: str | None = None
    source_length: int = 256
    """Tokens in a source row, end-of-sentence included; longer pairs are left out."""
    target_length: int = 256
    batch_tokens: int = 24_576
    """Target positions of a global batch: its rows times target_length."""
    prefetch_batches: int = 16

    def __post_init__(self) -> None:
        _require("data", self, source_length=2, target_length=2, prefetch_batches=1)
        if self.batch_tokens < self.target_length:
            raise InputError(
                f"data.batch_tokens={self.batch_tokens} must be at least one row, "
                f"data.target_length={self.target_length}."
            )
        for split in ("train", "validation", "test"):
            source = getattr(self, f"{split}_source_path")
            target = getattr(self, f"{split}_target_path")
            if (source is None) != (target is None):
                missing = "source" if source is None else "target"
                raise InputError(
                    f"data.{split}_{missing}_path is missing: both sides of the "
                    f"{split} pairs must be named."
                )
        if self.dataset is not None and self.train_source_path is not None:
            raise InputError(
                f"data.dataset={self.dataset!r} and data.train_source_path="
                f"{self.train_source_path!r} exclude each other: keep one."
            )

    @property
    def rows(self) -> int:
        """Rows of a global batch."""
        return self.batch_tokens // self.target_length


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam and its schedule. Paper: section 5.3."""

    warmup_steps: int = 4_000
    learning_rate_scale: float = 1.0
    """Multiplies the paper's schedule."""
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-9
    max_gradient_norm: float | None = None
    """Gradients of a larger global norm are scaled down to it; None = the paper."""

    def __post_init__(self) -> None:
        _require("optimizer", self, warmup_steps=1)
        _require_rates("optimizer", self, "beta1", "beta2")
        for name in ("learning_rate_scale", "epsilon", "max_gradient_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"optimizer.{name}={value} must be positive.")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length, loss, bookkeeping of a run. Paper: sections 5.2, 5.4.

    A step is one update of the parameters; counters ending in `_steps` count those.
    """

    num_steps: int = 100_000
    seed: int = 0
    prng: Literal["threefry2x32", "rbg", "unsafe_rbg"] | None = None
    """Random bits for dropout and init; None = threefry2x32 on CPU, rbg elsewhere."""
    label_smoothing: float = 0.1
    loss_slice_tokens: int = 2_048
    """Target positions whose logits exist at one time."""
    log_every_steps: int = 50
    evaluate_every_steps: int = 2_000
    validation_bleu_sentences: int | None = None
    """Validation sentences translated for BLEU; None = all, 0 = none."""
    checkpoint_every_steps: int | None = None
    checkpoint_every_minutes: float | None = 10.0
    keep_last: int = 5
    keep_best: int = 1
    best_metric: Literal["bleu", "loss"] = "bleu"
    max_skipped_steps: int = 10
    """Updates in a row with a non-finite loss or gradient before the run ends."""

    def __post_init__(self) -> None:
        _require(
            "training", self,
            num_steps=1, seed=0, loss_slice_tokens=1, log_every_steps=1,
            evaluate_every_steps=1, validation_bleu_sentences=0,
            checkpoint_every_steps=1, keep_last=1, keep_best=0, max_skipped_steps=1,
        )  # fmt: skip
        _require_rates("training", self, "label_smoothing")
        minutes = self.checkpoint_every_minutes
        if minutes is not None and minutes <= 0:
            raise InputError(
                f"training.checkpoint_every_minutes={minutes} must be positive."
            )
        if self.best_metric == "bleu" and self.validation_bleu_sentences == 0:
            raise InputError(
                "training.best_metric='bleu' needs translations: set it to 'loss', or "
                "training.validation_bleu_sentences above 0."
            )


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """Beam search. Paper: section 6.1."""

    beam_size: int = 4
    length_penalty: Literal["gnmt", "length", "none"] = "gnmt"
    length_penalty_alpha: float = 0.6
    max_extra_length: int = 50
    """An output has at most this many tokens more than its source."""
    batch_tokens: int = 8_192
    """Source tokens, padding included, translated together."""

    def __post_init__(self) -> None:
        _require(
            "decoding", self,
            beam_size=1, length_penalty_alpha=0, max_extra_length=1, batch_tokens=1,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How devices are arranged: data parallel by model parallel."""

    data: int | None = None
    """Devices over which the rows of a batch are spread; None = all that remain."""
    model: int = 1
    """Devices over which heads, feed-forward and vocabulary are spread."""

    def __post_init__(self) -> None:
        _require("mesh", self, data=1, model=1)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One experiment; each function of the package receives its own section."""

    model: ModelConfig = field(default_factory=ModelConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)

    def __post_init__(self) -> None:
        if self.tokenizer.shared and self.model.target_vocab_size is not None:
            raise InputError(
                f"model.target_vocab_size={self.model.target_vocab_size} needs "
                "tokenizer.shared=false."
            )
        if not self.tokenizer.shared and self.model.share_embeddings == "all":
            raise InputError(
                "tokenizer.shared=false needs model.share_embeddings='target' or "
                "'none', not 'all': the rows of one matrix would mean two things."
            )
        longest = max(self.data.source_length, self.data.target_length)
        if self.model.positions == "learned" and self.model.max_length < longest:
            raise InputError(
                f"model.max_length={self.model.max_length} must be at least "
                f"{longest}, the longer of data.source_length and data.target_length."
            )

    def replace(self, **sections: Any) -> "ExperimentConfig":
        """A copy with other sections, checked again."""
        return dataclasses.replace(self, **sections)
