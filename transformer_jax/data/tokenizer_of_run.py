"""The tokenizer of a run: that of its checkpoint, that of its directory, or a new one.

Before there is a checkpoint, a tokenizer that was learnt with other settings or from
another text is learnt again, or gives way to one that is given. One that was not learnt
there is its user's own: it is used or refused, never replaced. Once a model was trained
with a tokenizer, it stays.
"""

import contextlib
import logging
from dataclasses import dataclass

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.data.sentence_pairs import SentencePairs
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.tokenizer.checks import check_user_symbols, check_vocabulary
from transformer_jax.tokenizer.record import (
    RECORD_FILE,
    TokenizerRecord,
    read_record,
    record_of,
    save_tokenizer,
    write_record,
)
from transformer_jax.tokenizer.tokenizer import (
    Tokenizer,
    has_tokenizer,
    load_tokenizer,
    train_tokenizer,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedWith:
    """What the checkpoint that a run continues from was trained with."""

    step: int
    tokenizer: Tokenizer
    training_text: str | None
    """Digest of the text; None if the checkpoint does not say."""


def find_or_learn_tokenizer(
    config: ExperimentConfig,
    workdir: StoredPath,
    pairs: SentencePairs,
    training_text: str,
    trained: TrainedWith | None,
    given: Tokenizer | None = None,
) -> Tokenizer:
    """Returns the tokenizer of a run; a new one is written into the work directory.

    Args:
        training_text: digest of the pairs.
        trained: what the run continues; None = it begins.
        given: the user's own, as that of `tokenizer.path`. None = that of the
            directory, or one that is learnt.

    Raises:
        InputError: the training text is not that of the checkpoint, the tokenizer in
            the directory is not, or is another of the user's own, or the text does not
            support a vocabulary.
    """
    if trained is not None:
        _check_text(config, pairs, training_text, trained)
        if given not in (None, trained.tokenizer):
            raise InputError(
                "tokenizer= is not the one that the checkpoint of step "
                f"{trained.step} in {workdir} was trained with: leave it out, or "
                "choose another workdir."
            )
        tokenizer = _restore(config, workdir, training_text, trained)
    elif given is not None:
        check_vocabulary(given, config.model)
        _check_target_symbols(given, pairs)
        tokenizer = _take(given, config, workdir)
    else:
        tokenizer = _find_or_learn(config, workdir, pairs, training_text)
    check_vocabulary(tokenizer, config.model)
    return tokenizer


def _check_text(
    config: ExperimentConfig,
    pairs: SentencePairs,
    training_text: str,
    trained: TrainedWith,
) -> None:
    if trained.training_text in (None, training_text):
        return
    if not config.data.accept_other_text:
        raise InputError(
            f"{pairs.name}: not the training text of the checkpoint of step "
            f"{trained.step}: give that one; or set data.accept_other_text=true to go "
            "on with this one; or choose another workdir, to fine-tune the model there "
            "with training.initial_checkpoint."
        )
    logger.warning(
        "the training text is not that of the checkpoint of step %d; its tokenizer "
        "stays, and the data begin at the start",
        trained.step,
    )


def _restore(
    config: ExperimentConfig,
    workdir: StoredPath,
    training_text: str,
    trained: TrainedWith,
) -> Tokenizer:
    """Returns the tokenizer of the checkpoint; it must be that of the directory."""
    found = None
    if has_tokenizer(workdir):
        try:
            found = load_tokenizer(workdir)
        except InputError as error:
            logger.warning("%s The one of the checkpoint takes its place.", error)
    if found is None:
        text = trained.training_text or training_text
        record = record_of(config, text, trained.tokenizer.digest)
        save_tokenizer(trained.tokenizer, record, workdir)
        logger.info("took the tokenizer of the checkpoint of step %d", trained.step)
    elif found != trained.tokenizer:
        raise InputError(
            f"the tokenizer in workdir={workdir} is not the one that the checkpoint "
            f"of step {trained.step} was trained with: remove it, and that of the "
            "checkpoint is used."
        )
    return trained.tokenizer


def _check_target_symbols(given: Tokenizer, pairs: SentencePairs) -> None:
    """Checks that a vocabulary has brackets, if the targets are trees."""
    missing = set(pairs.target_symbols) - set(given.target_symbols)
    if not missing:
        return
    if len(missing) == len(set(pairs.target_symbols)):
        raise InputError(
            "the tokenizer knows no label or bracket of the trees of "
            f"{pairs.name}: give that of a parser, or leave tokenizer.path out."
        )
    logger.warning(
        "the tokenizer does not know %d labels and brackets of the trees, as %s: the "
        "model will not learn them",
        len(missing),
        min(missing),
    )


def _take(given: Tokenizer, config: ExperimentConfig, workdir: StoredPath) -> Tokenizer:
    """Writes a tokenizer that is given into the directory.

    One that was not given by the settings has no record.
    """
    path = config.tokenizer.path
    record = None if path is None else record_of(config, "", given.digest)
    found, before = None, read_record(workdir)
    if has_tokenizer(workdir):
        with contextlib.suppress(InputError):  # A damaged one is replaced.
            found = load_tokenizer(workdir)
    if found == given:
        if before != record:
            write_record(record, workdir)
        return given
    if found is not None:
        name = "tokenizer=" if path is None else f"tokenizer.path={path!r}"
        if before is None or not before.is_of_learnt(found):
            raise InputError(
                f"workdir={workdir} has another tokenizer than {name}, and it was not "
                "learnt there: remove it, or choose another workdir."
            )
        logger.warning(
            "the tokenizer in %s, which was learnt, gives way to %s", workdir, name
        )
    save_tokenizer(given, record, workdir)
    return given


def _find_or_learn(
    config: ExperimentConfig,
    workdir: StoredPath,
    pairs: SentencePairs,
    training_text: str,
) -> Tokenizer:
    """Returns the tokenizer of the directory if it would be the same made again."""
    record = read_record(workdir)
    if has_tokenizer(workdir):
        found = None
        try:
            found = load_tokenizer(workdir)
        except InputError:
            if record is None:  # It is the user's own: no other takes its place.
                raise
        if record is None and found is not None:
            logger.info("using the tokenizer found in %s", workdir)
            check_user_symbols(found, config.tokenizer.user_symbols)
            return found
        _check_may_be_learnt(record, found, workdir)
        digest = found.digest if found is not None else "damaged"
        now = record_of(config, training_text, digest)
        changes = [] if record is None else list(record.differences(now))
        if found is not None and not changes:
            return found
        logger.warning("learning the tokenizer again: %s", "; ".join(changes))
    logger.info(
        "learning a vocabulary of %d from %s", config.model.vocab_size, pairs.name
    )
    tokenizer = train_tokenizer(
        pairs, config.tokenizer, config.model, pairs.target_symbols
    )
    record = record_of(config, training_text, tokenizer.digest)
    save_tokenizer(tokenizer, record, workdir)
    return tokenizer


def _check_may_be_learnt(
    record: TokenizerRecord | None, found: Tokenizer | None, workdir: StoredPath
) -> None:
    """Checks that the tokenizer in the directory was learnt there.

    Args:
        found: None = it is damaged.

    Raises:
        InputError: it is the user's own.
    """
    if record is None:
        return
    if record.path is not None:
        raise InputError(
            f"the tokenizer in workdir={workdir} was taken from tokenizer.path="
            f"{record.path!r}, which is not set now: set it, or choose another "
            f"workdir; or remove that tokenizer and {RECORD_FILE}, and one is learnt."
        )
    # The digest is empty where the record is damaged.
    if found is not None and record.digest not in ("", found.digest):
        raise InputError(
            f"the tokenizer in workdir={workdir} is not the one that was learnt there "
            f"({RECORD_FILE}): to use it, remove {RECORD_FILE}; to have one learnt, "
            "remove the tokenizer."
        )
