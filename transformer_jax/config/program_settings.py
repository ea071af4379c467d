"""Which settings the programs of an update and of an evaluation are made of."""

import dataclasses

from transformer_jax.config.experiment import ExperimentConfig

OF_THE_RUN = (
    "num_steps",
    "initial_checkpoint",
    "log_every_steps",
    "evaluate_every_steps",
    "validation_bleu_sentences",
    "bleu_tokenizer",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_last",
    "keep_best",
    "best_metric",
    "patience_evaluations",
    "max_skipped_steps",
    "max_rollbacks",
    "if_save_fails",
    "stall_minutes",
)
"""Settings of `training` that say when something is done, and compute nothing."""


def program_settings(config: ExperimentConfig) -> tuple[object, ...]:
    """Returns the settings that programs depend on; its `repr` is exact.

    A run with more updates, or other checkpoints, has the programs of the one before.
    """
    names = {field.name for field in dataclasses.fields(config.training)}
    names -= set(OF_THE_RUN)
    if config.optimizer.cooldown_steps is not None:  # It is counted back from the end.
        names.add("num_steps")
    training = [(name, getattr(config.training, name)) for name in sorted(names)]
    return config.model, config.optimizer, training, len(config.data.corpora)
