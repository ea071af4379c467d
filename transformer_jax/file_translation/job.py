"""What it is to translate a file: from where, to where, with which settings."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from transformer_jax.errors import InputError
from transformer_jax.file_translation.lines import LineFormat
from transformer_jax.file_translation.parts import check_other_parts, part_path
from transformer_jax.storage.text_streams import count_lines
from transformer_jax.translation.translator import Translator

# Small parameters say as well as all of them which they are: an update changes each.
_SMALL_PARAMETER = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be translated, from where to where."""

    translator: Translator
    input: Path | None
    output: Path | None
    prefixes: Path | None
    line_format: LineFormat
    part: tuple[int, int]
    total: int | None
    """Lines of the input; None = not known before they are read."""
    resume: bool
    chunk_lines: int
    progress: bool
    decoding: dict[str, Any]

    @property
    def own_path(self) -> Path:
        """Where the output of this part grows, if it is to be a file."""
        return part_path(self.output or Path("-"), self.part)

    @property
    def first(self) -> int:
        """Lines of the input before those of this part."""
        return (self.total or 0) * self.part[0] // self.part[1]

    @property
    def last(self) -> int | None:
        """Lines of the input up to the last of this part."""
        if self.total is None:
            return None
        return self.total * (self.part[0] + 1) // self.part[1]

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What the output depends on beside the lines of the input."""
        configured = self.translator.config.decoding
        decoding = dataclasses.asdict(dataclasses.replace(configured, **self.decoding))
        del decoding["batch_tokens"]
        return {
            **dataclasses.asdict(self.line_format),
            **{f"decoding.{name}": value for name, value in decoding.items()},
            "prefixes": self.prefixes is not None,
            "model": _identity(self.translator),
        }

    def check(self) -> None:
        """Checks what can be checked before anything is translated.

        Raises:
            InputError: the arguments do not fit together, or do not fit the files.
        """
        index, count = self.part
        if not 0 <= index < count:
            raise InputError(f"part={self.part} must be (i, n) with 0 <= i < n.")
        if count > 1 and (self.total is None or self.output is None):
            raise InputError(
                "several processes cannot share standard input or output: give "
                "--input and --output."
            )
        if self.resume and self.output is None:
            raise InputError(
                "standard output cannot be continued: give --output with --continue."
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
                f"{output} is not a file: name one, or leave it out for standard "
                "output."
            )
        check_other_parts(output, count)
        parts = [part_path(output, (index, count)) for index in range(count)]
        if self.resume and output.exists() and not any(map(Path.exists, parts)):
            raise InputError(
                f"{output} is complete, there is nothing to continue: leave out "
                "--continue (resume=True) to translate anew."
            )


def _identity(translator: Translator) -> str:
    """Returns what tells a model from others; the same after a restart."""
    digest = hashlib.sha256(translator.tokenizer.digest.encode())
    for config, params in translator.models:
        digest.update(repr(config).encode())
        for leaf in jax.tree.leaves(params):
            if leaf.size <= _SMALL_PARAMETER:
                digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
