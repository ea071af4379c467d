"""The tokenizer of the user's own, that `tokenizer.path` names.

It is checked when a run begins. A run that goes on has it in its checkpoints, and
compares it as long as it is there.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from transformer_jax.checkpoints.choosing import checkpoint_dir, steps_in
from transformer_jax.checkpoints.contents import is_checkpoint, load_description
from transformer_jax.config.data import TokenizerConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.devices.agreement import all_together
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory
from transformer_jax.tokenizer.checks import check_user_symbols, check_vocabulary
from transformer_jax.tokenizer.record import read_record
from transformer_jax.tokenizer.tokenizer import (
    Tokenizer,
    has_tokenizer,
    load_tokenizer,
    read_model,
)
from transformer_jax.training.resume import Start

# How a vocabulary is learnt.
_LEARNING = (
    "kind",
    "byte_fallback",
    "character_coverage",
    "lowercase",
    "max_sentences",
)
_EXPECTED = "a SentencePiece model, a work directory or a checkpoint"

logger = logging.getLogger(__name__)


def choose_tokenizer(
    config: ExperimentConfig, start: Start, given: Tokenizer | None = None
) -> Tokenizer | None:
    """Returns the tokenizer that is given for a run; None = it is found or learnt.

    Every process must call it. Changes nothing.

    Args:
        given: by the caller, in place of the settings.

    Raises:
        InputError: that of `tokenizer.path` cannot be read, or goes together neither
            with the settings nor with the checkpoint that the run begins with or
            continues; or the caller's is another.
    """
    with all_together("the check of tokenizer.path"):
        own = _find_own(config, start)
    path = f"tokenizer.path={config.tokenizer.path!r}"
    if start.trained is not None:
        if own not in (None, start.trained.tokenizer):
            raise InputError(
                f"{path} is not the tokenizer that the checkpoint of step "
                f"{start.trained.step} was trained with: set it as it was, or to none; "
                "or choose another workdir."
            )
        return given
    if start.initial is not None:
        for name, other in (path, own), ("tokenizer=", given):
            if other not in (None, start.initial.tokenizer):
                raise InputError(
                    f"{name} is not that of training.initial_checkpoint, whose token "
                    "ids the model knows: leave one of them out."
                )
        return start.initial.tokenizer
    if own is not None and given not in (None, own):
        raise InputError(f"tokenizer= is not that of {path}: leave one of them out.")
    return own or given


def _find_own(config: ExperimentConfig, start: Start) -> Tokenizer | None:
    """Returns the tokenizer of `tokenizer.path`; None if there is none."""
    settings = config.tokenizer
    if settings.path is None:
        return None
    before = start.config if start.initial is None else start.initial.config
    with _naming(settings):
        if before is None:
            tokenizer, theirs = _read(settings)
            _check_settings(config, tokenizer, theirs)
            return tokenizer
        try:
            return _read(settings)[0]
        except InputError as error:
            if settings.path != before.tokenizer.path:
                raise
            logger.warning("%s The one of the checkpoint is used.", error)
            return None


@contextlib.contextmanager
def _naming(settings: TokenizerConfig) -> Iterator[None]:
    """Puts the setting in front of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"tokenizer.path={settings.path!r}: {error}") from error


def _read(settings: TokenizerConfig) -> tuple[Tokenizer, Mapping[str, Any]]:
    """Returns a tokenizer, and the settings it was learnt with where they are known."""
    paths = [work_directory(name) for name in settings.files]
    if len(paths) == 1 and paths[0].is_dir():
        return _read_directory(paths[0])
    models = [_read_file(path) for path in paths]
    return Tokenizer(models[0], models[-1]), {}


def _read_file(path: StoredPath) -> bytes:
    remedy = "name the file that its trainer has written, *.model, not *.vocab"
    try:
        return read_model(path, remedy)
    except FileNotFoundError:
        raise InputError(f"there is no {path}: name {_EXPECTED}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None


def _read_directory(folder: StoredPath) -> tuple[Tokenizer, Mapping[str, Any]]:
    """Returns the tokenizer of a checkpoint, or of a work directory."""
    if is_checkpoint(folder) or steps_in(folder):
        config, tokenizer = load_description(checkpoint_dir(folder))
        return tokenizer, vars(config.tokenizer)
    if not has_tokenizer(folder):
        raise InputError(f"{folder} has no tokenizer: name {_EXPECTED}.")
    tokenizer, record = load_tokenizer(folder), read_record(folder)
    settings = {} if record is None else record.settings
    return tokenizer, {
        name.removeprefix("tokenizer."): value for name, value in settings.items()
    }


def _check_settings(
    config: ExperimentConfig, tokenizer: Tokenizer, theirs: Mapping[str, Any]
) -> None:
    """Checks that a tokenizer is what the settings say.

    Args:
        theirs: settings it was learnt with, as far as they are known.

    Raises:
        InputError: it is not.
    """
    settings, default = config.tokenizer, TokenizerConfig()
    for name in _LEARNING:
        value, learnt = getattr(settings, name), getattr(default, name)
        if value not in (learnt, theirs.get(name, learnt)):
            raise InputError(
                f"tokenizer.{name}={value!r} says how a vocabulary is learnt, and this "
                "one is there already: leave it out."
            )
    if settings.shared and not tokenizer.is_shared:
        raise InputError(
            "it has a vocabulary for each language: set tokenizer.shared=false."
        )
    if not settings.shared and tokenizer.is_shared and len(settings.files) == 1:
        raise InputError(
            "it is one vocabulary, which tokenizer.shared=false is not: set it to "
            "true, or name two, source first."
        )
    check_user_symbols(tokenizer, settings.user_symbols)
    check_vocabulary(tokenizer, config.model)
