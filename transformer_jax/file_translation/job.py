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
from transformer_jax.devices.defaults import decoding_batch_tokens
from transformer_jax.errors import InputError
from transformer_jax.file_translation.chunk_lines import ChunkLines
from transformer_jax.file_translation.input_rows import (
    Digest,
    OnError,
    count_rows,
    open_rows,
)
from transformer_jax.file_translation.output_lines import LineFormat
from transformer_jax.file_translation.parts import check_other_parts, part_path
from transformer_jax.file_translation.resumable_output import (
    Settings,
    check_settings,
    read_complete,
)
from transformer_jax.parser.tree_lines import TreeLines
from transformer_jax.scoring.alignment import alignment_layers
from transformer_jax.storage.outputs import Output, warn_of_replacement
from transformer_jax.translation.arguments import check_number, require_translation
from transformer_jax.translation.batch_sizer import most_at_a_time
from transformer_jax.translation.translator import Translator

# Most elements of a parameter that is hashed. An update changes every parameter, so
# the small ones tell models apart.
_MAX_HASHED_SIZE = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Job:
    """One part of a file translation: model, files, format, lines."""

    translator: Translator | TreeLines
    input: Path | None
    output: Output
    prefixes: Path | None
    line_format: LineFormat
    part: tuple[int, int]
    """(i, n): this is part i of n of the lines."""
    total: int | None
    """Number of lines of the input. None = not known before they are read."""
    resume: bool
    chunk_lines: int | None
    """Lines of a chunk. None = by the speed, see `chunk_lines`."""
    on_error: OnError
    progress: bool
    decoding: DecodingSettings
    """Decoding settings that replace the configured ones."""

    @property
    def own_path(self) -> Path:
        """Path of the unfinished output of this part, if the output is a file."""
        return part_path(self.output.file or Path("-"), self.part)

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
        # A list, as in the journal; none at all is as before there was this setting.
        forbidden = list(decoding.pop("forbidden_tokens"))
        if forbidden:
            decoding["forbidden_tokens"] = forbidden
        treebank = self.translator.config.treebank
        trees = {"well_formed": treebank.well_formed} if treebank.is_used else {}
        return {
            **trees,
            **dataclasses.asdict(self.line_format),
            **{f"decoding.{name}": value for name, value in decoding.items()},
            "prefixes": self.prefixes is not None,
            "on_error": self.on_error,
            "model": _model_digest(self.translator),
        }

    @property
    def whole_settings(self) -> Settings:
        """The settings of a job that translates all lines in one part."""
        return {"lines": "from 1", **self.settings}

    def make_chunk_lines(self) -> ChunkLines:
        """Returns what says how many lines each chunk has.

        Raises:
            InputError: `chunk_lines` is less than 1.
        """
        mesh = self.translator.mesh
        batch_tokens = decoding_batch_tokens(self._decoding_config(), mesh)
        return ChunkLines(self.chunk_lines, most_at_a_time(batch_tokens, mesh))

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
        self._check_task()
        require_type("on_error", self.on_error, OnError)
        index, count = self.part
        if not 0 <= index < count:
            raise InputError(f"part={self.part} must be (i, n) with 0 <= i < n.")
        if count > 1 and (self.total is None or self.output.file is None):
            raise InputError(
                "several processes cannot share standard input or output, or what is "
                "no file: give files as input= and output=."
            )
        if self.resume and self.output.file is None:
            raise InputError(
                f"{self.output.name} cannot be continued: give a file as output= with "
                "resume=True."
            )
        require_type("chunk_lines", self.chunk_lines, int | None)
        self.make_chunk_lines()
        if self.prefixes is not None and self.total is not None:
            number = count_rows(self.prefixes, self.on_error)
            if number not in (None, self.total):
                raise InputError(
                    f"{self.prefixes} has {number} lines, but {self.input} has "
                    f"{self.total}: give one prefix for each line, an empty one where "
                    "it is free."
                )
        if self.output.file is not None:
            check_other_parts(self.output.file, count)
            if not self.resume:
                warn_of_replacement(self.output.file)

    def _check_task(self) -> None:
        """Checks that the model can write what is asked for.

        Raises:
            InputError: it cannot.
        """
        if isinstance(self.translator, Translator):
            require_translation(self.translator.config)
            if self.line_format.alignments:
                alignment_layers(self.translator, self._decoding_config())
        elif self.line_format.alignments or self.prefixes is not None:
            raise InputError(
                "alignments=True and prefixes= are of translation: leave them out."
            )

    def is_complete(self) -> bool:
        """Returns whether an earlier job has finished this output, to continue it.

        Raises:
            InputError: it is finished, but of another input or with other settings, or
                that is not known.
        """
        path, count = self.output.file, self.part[1]
        if not self.resume or path is None or not path.exists():
            return False
        if not path.stat().st_size:  # As mktemp makes it.
            return False
        if any(part_path(path, (index, count)).exists() for index in range(count)):
            return False
        journal = read_complete(path)
        if journal is None:
            raise InputError(
                f"{path} is complete, and nothing says what it was made of: leave out "
                "resume=True to translate anew."
            )
        check_settings(path, journal, self.whole_settings, "was made")
        if str(self.digest_of_input()) != journal.input_digest:
            raise InputError(
                f"{path} is complete, but of another input: leave out resume=True to "
                "translate anew."
            )
        return True

    def digest_of_input(self) -> Digest:
        """Reads the whole input, which must be a file."""
        digest = Digest()
        with open_rows(self.input, self.prefixes) as rows:
            digest.add_all(rows)
        return digest


def _model_digest(translator: Translator | TreeLines) -> str:
    """Returns a digest of the models and the tokenizer; equal after a restart."""
    digest = hashlib.sha256(translator.tokenizer.digest.encode())
    for config, params in translator.models:
        digest.update(repr(config).encode())
        for leaf in jax.tree.leaves(params):
            if leaf.size <= _MAX_HASHED_SIZE:
                digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
