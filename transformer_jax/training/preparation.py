"""Preparing the data of a work directory, without training."""

import os

from transformer_jax.config.checks import require_config
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.prepare import PreparedData
from transformer_jax.data.sentence_pairs import GivenPairs
from transformer_jax.interruption import handle_signals
from transformer_jax.storage.work_directory import work_directory
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.own_tokenizer import choose_tokenizer
from transformer_jax.training.resume import check_continues, find_start
from transformer_jax.training.start import hold_lock, prepare_together


def prepare(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str],
    *,
    train_pairs: GivenPairs | None = None,
    validation_pairs: GivenPairs | None = None,
    tokenizer: Tokenizer | None = None,
) -> PreparedData:
    """Returns tokenizer and corpora of a work directory; makes those that are missing.

    The tokenizer is learnt from the training text only. What was made of other settings
    or another text is made again; once the directory has a checkpoint, its tokenizer
    stays, and another text is refused. In a run of several processes all must call it.

    Args:
        train_pairs: (source, target) sentences in place of those `config.data` names;
            of several corpora, by their names.
        validation_pairs: likewise.
        tokenizer: the one to use, as that of another run. None = that of
            `tokenizer.path` or `training.initial_checkpoint`, the one that is in the
            directory, or a new one.

    Raises:
        InputError: the text, its format or the vocabulary is refused, another run is in
            the directory, or the directory has another tokenizer of the user's own.

    Example:
        >>> data = tj.prepare(config, "runs/prepared", train_pairs=pairs)
        >>> data.train.num_pairs == len(pairs), data.validation
        (True, None)
    """
    require_config(config, ExperimentConfig)
    folder = work_directory(workdir)
    with handle_signals(), hold_lock(folder):
        start = find_start(config, folder, trains=False)
        check_continues(config, start, folder)
        tokenizer = choose_tokenizer(config, start, tokenizer)
        return prepare_together(
            config,
            folder,
            trained=start.trained,
            train_pairs=train_pairs,
            validation_pairs=validation_pairs,
            tokenizer=tokenizer,
        )
