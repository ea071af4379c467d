"""Protocols: what is done to text, and how it is counted, on the way to BLEU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.moses import MosesRules, moses_tokenize

ProtocolName: TypeAlias = Literal["sacrebleu", "paper-en-de", "multi30k", "multi-bleu"]
SacrebleuTokenizer: TypeAlias = Literal["13a", "intl", "char", "zh", "none"]
"""Those of sacreBLEU that need nothing else to be installed or fetched."""

# What else may be said of each protocol.
_OPTIONS = {
    "sacrebleu": ("tokenizer", "lowercase"),
    "paper-en-de": (),
    "multi30k": ("language",),
    "multi-bleu": ("lowercase",),
}

# multi-bleu reads bytes, to which only ASCII white space separates tokens. Python, and
# so sacreBLEU, also splits at the others, the no-break space above all. They become
# code points that Unicode reserves for a program's own use.
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
    """How text becomes a BLEU score: sacreBLEU's way, or multi-bleu's."""

    tokenizer: SacrebleuTokenizer | None = "13a"
    """Of sacreBLEU. None: tokens are what white space separates, and there is no
    smoothing, so that without a matching 4-gram the score is 0; that is multi-bleu."""
    lowercase: bool = False
    """Before all else."""
    moses: MosesRules | None = None
    """How multi-bleu's tokens are made; None for text that is tokenised already."""


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
        name: `sacrebleu`, what is published today; `paper-en-de`, the paper's for
            English-German; `multi30k`, that of published Multi30k scores (lowercased,
            punctuation normalised, Moses tokens); `multi-bleu`, for text that is
            tokenised already.
        tokenizer: of sacreBLEU; None is its default, 13a.
        lowercase: for sacreBLEU and multi-bleu.
        language: of the translations, for Moses in `multi30k`.

    Raises:
        InputError: no such protocol, or it takes no such option.
    """
    if name not in get_args(ProtocolName):
        raise InputError(f"protocol={name} must be one of {', '.join(_OPTIONS)}.")
    if tokenizer not in (None, *get_args(SacrebleuTokenizer)):
        known = ", ".join(get_args(SacrebleuTokenizer))
        raise InputError(f"tokenizer={tokenizer} must be one of {known}.")
    options = {"tokenizer": tokenizer, "lowercase": lowercase, "language": language}
    for option, value in options.items():
        if value and option not in _OPTIONS[name]:
            raise InputError(f"protocol={name} takes no {option}: leave it out.")
    if name == "paper-en-de":
        return PAPER_EN_DE
    if name == "multi-bleu":
        return Protocol(tokenizer=None, lowercase=lowercase)
    if name == "sacrebleu":
        return Protocol(tokenizer=tokenizer or "13a", lowercase=lowercase)
    if language is None:
        raise InputError(f"protocol={name} needs the language, for example de.")
    return Protocol(tokenizer=None, lowercase=True, moses=MosesRules(language=language))


def prepare(lines: Sequence[str], protocol: Protocol) -> list[str]:
    """Returns what a protocol hands to sacreBLEU's metric."""
    if protocol.tokenizer is not None:
        return list(lines)
    if protocol.lowercase:
        lines = [line.lower() for line in lines]
    if protocol.moses is not None:
        lines = moses_tokenize(lines, protocol.moses)
    return [line.translate(_KEEP_INSIDE_TOKENS) for line in lines]
