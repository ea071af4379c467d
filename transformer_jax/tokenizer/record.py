"""What the tokenizer of a work directory was made of: settings and text."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.work_directory import StoredPath, write_whole
from transformer_jax.tokenizer.tokenizer import Tokenizer, remove_tokenizer

RECORD_FILE = "tokenizer.json"
PATH = "tokenizer.path"


@dataclass(frozen=True)
class TokenizerRecord:
    """Settings and text that a tokenizer was learnt with, or where it was taken from.

    A tokenizer that its user has put into the work directory has no record.
    """

    settings: Mapping[str, Any]
    """By their full names, as `tokenizer.kind`."""
    training_text: str
    """Digest of the text; empty if it was not learnt."""
    digest: str
    """Of the tokenizer."""

    @property
    def path(self) -> Any:
        """`tokenizer.path`, if it was taken from there; None = it was learnt."""
        return self.settings.get(PATH)

    def is_of_learnt(self, tokenizer: Tokenizer) -> bool:
        """Returns whether this tokenizer was learnt, and can be learnt again."""
        return self.path is None and self.digest == tokenizer.digest

    def differences(self, other: "TokenizerRecord") -> Iterator[str]:
        """Yields what differs in another one, for people."""
        for name in sorted({**self.settings, **other.settings}):
            mine, yours = self.settings.get(name), other.settings.get(name)
            if mine != yours:
                yield f"{name}: {mine!r} -> {yours!r}"
        if self.training_text != other.training_text:
            yield "the training text is another"
        if self.digest != other.digest:
            yield "its file is not the one that was written"


def record_of(
    config: ExperimentConfig, training_text: str, tokenizer_digest: str
) -> TokenizerRecord:
    """Returns the record of a tokenizer of these settings and this text."""
    fields = dataclasses.asdict(config.tokenizer)
    settings = {f"tokenizer.{name}": value for name, value in fields.items()}
    # As they are read again; earlier records do not have them.
    for name in PATH, "tokenizer.user_symbols":
        value = settings.pop(name)
        if value:
            settings[name] = value if isinstance(value, str) else list(value)
    settings["model.vocab_size"] = config.model.vocab_size
    if not config.tokenizer.shared:
        settings["model.target_vocab_size"] = config.model.output_vocab_size
    return TokenizerRecord(settings, training_text, tokenizer_digest)


def read_record(workdir: StoredPath) -> TokenizerRecord | None:
    """Returns the record in a work directory, None where there is none."""
    path = workdir / RECORD_FILE
    if not path.exists():
        return None
    try:
        values = parse_json(path.read_text())
        return TokenizerRecord(
            dict(values["settings"]), values["training_text"], values["digest"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        return TokenizerRecord({}, "", "")  # Damaged: nothing is known.


def save_tokenizer(
    tokenizer: Tokenizer, record: TokenizerRecord | None, workdir: StoredPath
) -> None:
    """Writes the record and the tokenizer, in place of those that are there.

    An interruption leaves no tokenizer, or a part of one, and never one that another
    record describes.

    Args:
        record: None = no record.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    remove_tokenizer(workdir)
    write_record(record, workdir)
    tokenizer.save(workdir)


def write_record(record: TokenizerRecord | None, workdir: StoredPath) -> None:
    """Writes the record, or removes the one that is there."""
    if record is None:
        (workdir / RECORD_FILE).unlink(missing_ok=True)
        return
    text = json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    write_whole(workdir / RECORD_FILE, text.encode())
