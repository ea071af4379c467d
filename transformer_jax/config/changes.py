"""What settings may change when trained parameters are used further."""

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import differences

# Settings that decide what the parameters mean.
_OF_PARAMETERS = ("model.", "tokenizer.", "treebank.leaf_symbol")
# Settings of the model that change how it is computed, not what.
_OF_COMPUTATION = ("model.scan_unroll", "model.remat", "model.attention_kernel")
# Where the tokenizer came from; what counts is what it is, which is compared whole.
_OF_ORIGIN = ("tokenizer.path",)
# Settings of the model that change what is computed, but fit the same parameters.
_OF_LEARNING = (
    "model.dropout_rate",
    "model.attention_dropout_rate",
    "model.activation_dropout_rate",
    "model.attention_window",
    "model.compute_dtype",
)


def changes_of_run(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns those changes of settings with which a run cannot go on."""
    return _changes(old, new, (*_OF_COMPUTATION, *_OF_ORIGIN))


def changes_of_model(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns those changes with which a new run cannot begin with trained parameters.

    Dropout, the window of attention, the precision and the length of sinusoidal
    positions may change, and all that is no setting of the model or the tokenizer.
    """
    has_table = new.model.positions == "learned"
    lengths = () if has_table else ("model.max_length",)
    free = (*_OF_COMPUTATION, *_OF_ORIGIN, *_OF_LEARNING, *lengths)
    return _changes(old, new, free)


def _changes(
    old: ExperimentConfig, new: ExperimentConfig, free: tuple[str, ...]
) -> list[str]:
    changes = [c for c in differences(old, new) if c.startswith(_OF_PARAMETERS)]
    return [c for c in changes if c.partition(":")[0] not in free]
