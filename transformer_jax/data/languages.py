"""The languages of a text: what the settings say, and the names of its files."""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from transformer_jax.config.experiment import DataConfig
from transformer_jax.text_metrics.languages import language_code, suffix_language

Path = str | os.PathLike[str]
Files = tuple[Sequence[Path], Sequence[Path]]
"""Where the source and the target sentences are; nothing for what is in no file."""

_DEFAULTS = DataConfig()

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """The language of the source, or of the target."""

    code: str
    """What the text is taken for, as `de`: the setting; where that has its default,
    and files are named by another language, theirs. A default says little of a text
    whose files say more."""
    codes: frozenset[str]
    """All that was said of it."""
    contradiction: str | None
    """What the user should hear of, a sentence."""


@dataclass(frozen=True)
class Languages:
    """The languages of a text."""

    source: Side
    target: Side

    def are(self, source: str, target: str) -> bool:
        """Returns whether these are the languages, by all that was said of them."""
        return self.source.codes == {source} and self.target.codes == {target}

    def warn(self) -> None:
        """Logs, in one warning, where names of files contradict the settings."""
        told = [side.contradiction for side in (self.source, self.target)]
        sentences = [sentence for sentence in told if sentence is not None]
        if sentences:
            logger.warning(
                "%s Set these to the languages of the text, or rename the files.",
                " ".join(sentences),
            )


def find_languages(data: DataConfig, *texts: Files) -> Languages:
    """Returns the languages of a text.

    Args:
        texts: files of the text itself, then of what else is in the same languages, as
            the text the model was trained on.
    """
    return Languages(
        _find_side(data, "source", [path for source, _ in texts for path in source]),
        _find_side(data, "target", [path for _, target in texts for path in target]),
    )


def _find_side(
    data: DataConfig, side: Literal["source", "target"], files: Iterable[Path]
) -> Side:
    setting: str = getattr(data, f"{side}_language")
    configured = code = language_code(setting)
    named = {
        os.fspath(path): language
        for path in files
        if (language := suffix_language(path)) is not None
    }
    if named and setting == getattr(_DEFAULTS, f"{side}_language"):
        code = next(iter(named.values()))
    others = {path: name for path, name in named.items() if name != configured}
    contradiction = None
    if others:
        told = ", ".join(f"{path} is named as {name}" for path, name in others.items())
        contradiction = (
            f"data.{side}_language={setting!r}, but {told}: taken for {code}."
        )
    return Side(code, frozenset({configured, *named.values()}), contradiction)
