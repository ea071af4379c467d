"""The arguments of a file translation, checked, and what they imply."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

import jax
import numpy as np

from transformer_jax.config.checks import require_type
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.errors import InputError
from transformer_jax.file_translation.output_lines import LineFormat
from transformer_jax.file_translation.parts import check_other_parts, part_path
from transformer_jax.file_translation.resumable_output import Settings
from transformer_jax.storage.text_streams import count_lines
from transformer_jax.translation.arguments import check_number
from transformer_jax.translation.translator import Translator

# Most elements of a parameter that is hashed. An update changes every parameter, so
# the small ones tell models apart.
_MAX_HASHED_SIZE = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Job:
    """One part of a file translation: model, files, format, lines."""

    translator: Translator
    input: Path | None
    output: Path | None
    prefixes: Path | None
    line_format: LineFormat
    part: tuple[int, int]
    """(i, n): this is part i of n of the lines."""
    total: int | None
    """Number of lines of the input. None = not known before they are read."""
    resume: bool
    chunk_lines: int
    progress: bool
    decoding: DecodingSettings
    """Decoding settings that replace the configured ones."""

    @property
    def own_path(self) -> Path:
        """Path of the unfinished output of this part, if the output is a file."""
        return part_path(self.output or Path("-"), self.part)

    @property
    def first(self) -> int:
        """Number of input lines before this part."""
        return (self.total or 0) * self.part[0] // self.part[1]

    @property
    def last(self) -> int | None:
        """Number of input lines up to the end of this part. None = up to the last."""
        if self.total is None:
            return None
        return self.total * (self.part[0] + 1) // self.part[1]

    @functools.cached_property
    def settings(self) -> Settings:
        """Everything that the output depends on, except the lines of the input."""
        decoding = dataclasses.asdict(self._decoding_config())
        del decoding["batch_tokens"]
        return {
            **dataclasses.asdict(self.line_format),
            **{f"decoding.{name}": value for name, value in decoding.items()},
            "prefixes": self.prefixes is not None,
            "model": _model_digest(self.translator),
        }

    def _decoding_config(self) -> DecodingConfig:
        return self.translator.config.decoding.replace(**self.decoding)

    def check(self) -> None:
        """Checks the arguments before anything is translated.

        Raises:
            InputError: an argument is refused, or does not fit the others or the files.
        """
        for name, kind in get_type_hints(LineFormat).items():
            require_type(name, getattr(self.line_format, name), kind)
        # Raises if a decoding setting is refused.
        check_number("n_best", self.line_format.n_best, self._decoding_config())
        index, count = self.part
        if not 0 <= index < count:
            raise InputError(f"part={self.part} must be (i, n) with 0 <= i < n.")
        if count > 1 and (self.total is None or self.output is None):
            raise InputError(
                "several processes cannot share standard input or output: give input= "
                "and output=."
            )
        if self.resume and self.output is None:
            raise InputError(
                "standard output cannot be continued: give output= with resume=True."
            )
        if self.chunk_lines < 1:
            raise InputError(f"chunk_lines={self.chunk_lines} must be at least 1.")
        if self.prefixes is not None and self.total is not None:
            number = count_lines(self.prefixes)
            if number not in (None, self.total):
                raise InputError(
                    f"{self.prefixes} has {number} lines, but {self.input} has "
                    f"{self.total}: give one prefix for each line, an empty one where "
                    "it is free."
                )
        if self.output is not None:
            self._check_output(self.output, count)

    def _check_output(self, output: Path, count: int) -> None:
        if output.exists() and not output.is_file():
            raise InputError(
                f"{output} is not a file: name one, or leave output= out for standard "
                "output."
            )
        check_other_parts(output, count)
        parts = [part_path(output, (index, count)) for index in range(count)]
        if self.resume and output.exists() and not any(map(Path.exists, parts)):
            raise InputError(
                f"{output} is complete, there is nothing to continue: leave out "
                "resume=True to translate anew."
            )


def _model_digest(translator: Translator) -> str:
    """Returns a digest of the models and the tokenizer; equal after a restart."""
    digest = hashlib.sha256(translator.tokenizer.digest.encode())
    for config, params in translator.models:
        digest.update(repr(config).encode())
        for leaf in jax.tree.leaves(params):
            if leaf.size <= _MAX_HASHED_SIZE:
                digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
