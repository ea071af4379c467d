"""Protocols of BLEU: how text is tokenised and how n-grams are counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.languages import language_code
from transformer_jax.text_metrics.moses import MosesRules, moses_tokenize
from transformer_jax.text_metrics.tokenizers import (
    SacrebleuTokenizer,
    check_tokenizer,
    tokenizer_of_language,
)

ProtocolName: TypeAlias = Literal["sacrebleu", "paper-en-de", "multi30k", "multi-bleu"]

# The options of each protocol.
_OPTIONS = {
    "sacrebleu": ("tokenizer", "lowercase", "language"),
    "paper-en-de": ("language",),
    "multi30k": ("language",),
    "multi-bleu": ("lowercase",),
}

# multi-bleu reads bytes and splits at ASCII white space only. Python, and so sacreBLEU,
# splits at all white space, such as the no-break space. The latter are replaced by code
# points that Unicode reserves for a program's own use.
_OTHER_SPACES = [
    code
    for code in range(0x3001)
    if chr(code).isspace() and chr(code) not in " \t\n\v\f\r"
]
_KEEP_INSIDE_TOKENS = {
    space: 0xFDD0 + index for index, space in enumerate(_OTHER_SPACES)
}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a BLEU score is computed: as by sacreBLEU, or as by multi-bleu."""

    tokenizer: SacrebleuTokenizer | None = "13a"
    """Tokenizer of sacreBLEU. None = multi-bleu: white space separates tokens, and
    nothing is smoothed, so that the score is 0 without a matching 4-gram."""
    lowercase: bool = False
    """Lowercase the text first."""
    moses: MosesRules | None = None
    """How Moses tokenises for multi-bleu; None for text that is tokenised already."""


PAPER_EN_DE = Protocol(
    tokenizer=None,
    moses=MosesRules(language="de", punctuation="unicode", split_compounds=True),
)
"""Paper: section 6.1, Table 2; the procedure is the reference implementation's."""


def make_protocol(
    name: ProtocolName,
    *,
    tokenizer: SacrebleuTokenizer | None = None,
    lowercase: bool = False,
    language: str | None = None,
) -> Protocol:
    """Returns a protocol by its name.

    Args:
        name: `sacrebleu`, which is published today; `paper-en-de`, that of the paper
            for English-German; `multi30k`, that of published Multi30k scores
            (lowercased, punctuation normalised, Moses tokens); `multi-bleu`, for text
            that is tokenised already.
        tokenizer: of sacreBLEU; None = that of the language.
        lowercase: for sacreBLEU and multi-bleu.
        language: of the translations, for sacreBLEU's tokenizer (None = 13a), and for
            Moses in `multi30k`. For `paper-en-de` it can only be German.

    Raises:
        InputError: there is no such protocol, or the option does not belong to it.
    """
    if name not in get_args(ProtocolName):
        raise InputError(f"protocol={name} must be one of {', '.join(_OPTIONS)}.")
    if tokenizer is not None:
        check_tokenizer(tokenizer)
    options = {"tokenizer": tokenizer, "lowercase": lowercase, "language": language}
    for option, value in options.items():
        if value and option not in _OPTIONS[name]:
            raise InputError(f"protocol={name} takes no {option}: leave it out.")
    if name == "paper-en-de":
        if language is not None and language_code(language) != "de":
            raise InputError(
                f"language={language!r} does not go with protocol=paper-en-de, which "
                "is for translations into German: choose another protocol."
            )
        return PAPER_EN_DE
    if name == "multi-bleu":
        return Protocol(tokenizer=None, lowercase=lowercase)
    if name == "sacrebleu":
        tokenizer = tokenizer or tokenizer_of_language(language)
        return Protocol(tokenizer=tokenizer, lowercase=lowercase)
    if language is None:
        raise InputError(f"protocol={name} needs the language, for example de.")
    return Protocol(tokenizer=None, lowercase=True, moses=MosesRules(language=language))


def prepare_text(lines: Sequence[str], protocol: Protocol) -> list[str]:
    """Returns the text for sacreBLEU's metric, prepared as the protocol says."""
    if protocol.tokenizer is not None:
        return list(lines)
    if protocol.lowercase:
        lines = [line.lower() for line in lines]
    if protocol.moses is not None:
        lines = moses_tokenize(lines, protocol.moses)
    return [line.translate(_KEEP_INSIDE_TOKENS) for line in lines]
