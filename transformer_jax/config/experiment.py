"""Settings of an experiment. Every default is the paper's base model.

Frozen dataclasses, checked when they are made, free of hardware, files and
environment. Values computed from others are properties. `None` means off, unless the
comment of the setting says what it becomes; TOML writes it "none".
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_type_hints

from transformer_jax.config.checks import (
    MOST_SEED,
    MOST_STEPS,
    require_at_least,
    require_at_most,
    require_float32,
    require_positive,
    require_rates,
    require_sizes,
    require_types,
)
from transformer_jax.config.data import DataConfig as DataConfig
from transformer_jax.config.data import TokenizerConfig as TokenizerConfig
from transformer_jax.config.decoding import DecodingConfig as DecodingConfig
from transformer_jax.config.model import ModelConfig as ModelConfig
from transformer_jax.config.treebank import TreebankConfig
from transformer_jax.errors import InputError
from transformer_jax.text_metrics.tokenizers import DetokenizedTextTokenizer


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam and its schedule. Paper: section 5.3.

    Raises:
        InputError: a value of the wrong type or range. The message names the
            setting, as `optimizer.beta1`.

    Example:
        >>> tj.OptimizerConfig(warmup_steps=8_000).beta2
        0.98
    """

    warmup_steps: int = 4_000
    learning_rate_scale: float = 1.0
    """Multiplies the paper's schedule."""
    cooldown_steps: int | None = None
    """The learning rate falls linearly to 0 in this many last updates. None = it does
    not (the paper)."""
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-9
    max_gradient_norm: float | None = None
    """Gradients with a larger global norm are scaled down to it. None = no clipping
    (the paper)."""

    def __post_init__(self) -> None:
        require_types("optimizer", self)
        require_at_least("optimizer", self, warmup_steps=1, cooldown_steps=1)
        require_at_most("optimizer", self, warmup_steps=MOST_STEPS)
        require_rates("optimizer", self, "beta1", "beta2")
        positive = "learning_rate_scale", "epsilon", "max_gradient_norm"
        require_positive("optimizer", self, *positive)
        require_float32("optimizer", self, *positive)


BestMetric: TypeAlias = Literal["bleu", "chrf", "f1", "loss"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length, loss, bookkeeping of a run. Paper: sections 5.2, 5.4.

    A step is one update of the parameters; counters ending in `_steps` count those.

    Raises:
        InputError: a value of the wrong type or range, or `best_metric` other than
            "loss" without translations in validation, or patience without evaluations.
            The message names the setting, as `training.num_steps`.

    Example:
        >>> tj.TrainingConfig(num_steps=300_000, ema_decay=0.999).label_smoothing
        0.1
    """

    num_steps: int = 100_000
    initial_checkpoint: str | None = None
    """Begin with the parameters and the tokenizer of this checkpoint, to fine-tune its
    model: a work directory, of which the latest is taken, or the directory of one
    checkpoint or average. None = random parameters. A run that goes on continues its
    own checkpoints, and does not read this one again."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that are not trained: embedding, encoder, decoder, or a path
    among the parameters, as decoder/cross_attention."""
    seed: int = 0
    prng: Literal["murmur", "threefry2x32", "rbg", "unsafe_rbg"] = "murmur"
    """Random number generator of initialisation and dropout. murmur and threefry2x32
    give the same numbers on any mesh; murmur is the cheapest."""
    accumulation_steps: int = 1
    """A batch is processed in this many parts, one after the other, for one update."""
    label_smoothing: float = 0.1
    loss_slice_tokens: int | None = None
    """Target positions whose logits a device holds at a time. None = 512 on TPUs, whose
    fast memory holds these, 2,048 elsewhere."""
    log_every_steps: int = 50
    evaluate_every_steps: int = 2_000
    validation_bleu_sentences: int | None = None
    """Validation sentences (of each corpus) translated for BLEU, or parsed for F1; None
    = all, 0 = none."""
    bleu_tokenizer: DetokenizedTextTokenizer | None = None
    """Tokenizer of sacreBLEU. None = that of the target language: zh, ja-mecab or
    ko-mecab for Chinese, Japanese or Korean, 13a for all others."""
    checkpoint_every_steps: int | None = None
    checkpoint_every_minutes: float | None = 10.0
    """The paper's interval. None = checkpoints by steps only."""
    keep_last: int = 5
    """Checkpoints that are kept. Where they come by steps only, one that was written
    because the run was interrupted counts until there is a newer."""
    keep_best: int = 1
    best_metric: BestMetric | None = None
    """By which result of the validation the best checkpoints are chosen. None = F1 of a
    parser, BLEU of a translator, or the loss where nothing is translated."""
    patience_evaluations: int | None = None
    """The run ends when so many evaluations in a row were not better by `best_metric`
    than the best before them; an equal one is not better. None = it does not end before
    `num_steps` (the paper). With `optimizer.cooldown_steps` the learning rate falls
    towards `num_steps`; a run that ends earlier has not come to that."""
    max_skipped_steps: int = 10
    """Updates skipped in a row before the run ends, or goes back, see
    `max_rollbacks`. Skipped is one whose loss or gradient is not finite, or too large
    by one of the next two settings."""
    max_loss_ratio: float | None = 4.0
    """Largest loss of an update, as a multiple of the loss of a model that has learnt
    nothing (the logarithm of the vocabulary). None = any."""
    max_gradient_ratio: float | None = None
    """Largest gradient norm of an update after the first hundred, as a multiple of its
    running mean. None = any (the paper)."""
    max_rollbacks: int = 0
    """How often the run goes back to a checkpoint, and on with the rows after those it
    could not learn from, before it ends."""
    if_save_fails: Literal["stop", "continue"] = "stop"
    """What to do where a checkpoint cannot be written, as on a full disk."""
    stall_minutes: float | None = 30.0
    """Time without any progress after which the log says where the run is waiting; one
    of several processes then ends, so that the job can be started again."""
    ema_decay: float | None = None
    """Decay of a running average of the parameters, such as 0.999. None = no average
    (the paper). Evaluation and translation use the average; a checkpoint also holds the
    parameters that training continues with. An average that is turned on later begins
    with the parameters of that moment; turned off, it is dropped."""

    def __post_init__(self) -> None:
        require_types("training", self)
        require_at_least(
            "training", self,
            num_steps=1, seed=0, accumulation_steps=1, loss_slice_tokens=1,
            log_every_steps=1, evaluate_every_steps=1, validation_bleu_sentences=0,
            checkpoint_every_steps=1, keep_last=1, keep_best=0, patience_evaluations=1,
            max_skipped_steps=1, max_rollbacks=0, max_loss_ratio=1,
            max_gradient_ratio=1,
        )  # fmt: skip
        require_at_most("training", self, seed=MOST_SEED, num_steps=MOST_STEPS)
        require_sizes(
            "training", self,
            "accumulation_steps", "loss_slice_tokens", "validation_bleu_sentences",
        )  # fmt: skip
        require_float32("training", self, "max_loss_ratio", "max_gradient_ratio")
        require_rates("training", self, "label_smoothing", "ema_decay")
        if self.initial_checkpoint == "":
            raise InputError(
                "training.initial_checkpoint='' must be a directory, or none."
            )
        require_positive("training", self, "checkpoint_every_minutes", "stall_minutes")
        needs_translations = self.best_metric not in (None, "loss")
        if needs_translations and self.validation_bleu_sentences == 0:
            raise InputError(
                f"training.best_metric={self.best_metric!r} needs translations: set it "
                "to 'loss', or training.validation_bleu_sentences above 0."
            )
        patience, every = self.patience_evaluations, self.evaluate_every_steps
        if patience is not None and every >= self.num_steps:
            raise InputError(
                f"training.patience_evaluations={patience} needs evaluations before "
                f"the end: training.evaluate_every_steps={every} must be below "
                f"training.num_steps={self.num_steps}, or the patience none."
            )


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """The device mesh: sizes of its three axes.

    Their product is the number of devices. The first axis of None takes all remaining
    devices, and further axes of None are 1. So the default is `data` over all devices,
    and `data = 1` alone is `fsdp` over all.

    Raises:
        InputError: a value of the wrong type or range. The message names the
            setting, as `mesh.fsdp`.

    Example:
        >>> dict(tj.make_mesh(tj.MeshConfig(fsdp=2)).shape)["fsdp"]
        2
    """

    data: int | None = None
    """Copies of the model, each with its own rows of a batch."""
    fsdp: int | None = None
    """Devices that share a copy: each holds a part of every parameter, and of the
    copy's rows."""
    tensor: int | None = None
    """Devices that heads, feed-forward units and vocabulary are split over."""

    def __post_init__(self) -> None:
        require_types("mesh", self)
        require_at_least("mesh", self, data=1, fsdp=1, tensor=1)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One experiment; each function of the package receives its own section.

    Raises:
        InputError: two sections do not go together. The message names both settings.

    Example:
        >>> config = tj.ExperimentConfig(model=tj.ModelConfig.big())
        >>> config.model.d_model, config.optimizer.warmup_steps
        (1024, 4000)
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    treebank: TreebankConfig = field(default_factory=TreebankConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"{name}={getattr(self, name)!r:.60} must be a {kind.__name__}."
                )
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
        self._check_task()
        longest = max(self.data.source_length, self.data.target_length)
        if self.model.positions == "learned" and self.model.max_length < longest:
            raise InputError(
                f"model.max_length={self.model.max_length} must be at least "
                f"{longest}, the longer of data.source_length and data.target_length."
            )
        parts = self.training.accumulation_steps
        if self.data.rows % parts:
            raise InputError(
                f"training.accumulation_steps={parts} must divide the rows of a batch, "
                f"data.batch_tokens / data.target_length = {self.data.rows}."
            )
        if (self.optimizer.cooldown_steps or 0) > self.training.num_steps:
            raise InputError(
                f"optimizer.cooldown_steps={self.optimizer.cooldown_steps} must be at "
                f"most training.num_steps={self.training.num_steps}."
            )

    def _check_task(self) -> None:
        """Checks that the run either translates or parses."""
        parses, metric = self.treebank.is_used, self.training.best_metric
        named = self.data.text_settings
        if parses and named:
            raise InputError(
                f"{named[0]} and treebank.train_paths exclude each other: keep one."
            )
        if metric not in (None, "loss") and parses != (metric == "f1"):
            means = "translation" if parses else "parsing"
            needed = "'f1'" if parses else "'bleu', 'chrf'"
            raise InputError(
                f"training.best_metric={metric!r} is of {means}, which this run does "
                f"not learn: set it to {needed} or 'loss'."
            )

    def replace(self, **sections: Any) -> "ExperimentConfig":
        """Returns a copy with other sections, checked again."""
        return dataclasses.replace(self, **sections)
