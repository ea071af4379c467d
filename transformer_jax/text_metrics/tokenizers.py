"""Tokenizers of sacreBLEU: which belongs to a language, and what each needs."""

from typing import Literal, TypeAlias, get_args

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.languages import language_code

DetokenizedTextTokenizer: TypeAlias = Literal[
    "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200"
]
SacrebleuTokenizer: TypeAlias = Literal[
    "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200", "none"
]
"""13a is mteval-v13a; ja-mecab and ko-mecab need an extra of sacreBLEU, and flores200 a
model that sacreBLEU downloads once."""

_OF_LANGUAGE: dict[str, DetokenizedTextTokenizer] = {
    "zh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
}


def tokenizer_of_language(language: str | None) -> DetokenizedTextTokenizer:
    """Returns sacreBLEU's tokenizer for a target language, as sacreBLEU chooses it.

    13a finds words by spaces and punctuation; of Chinese and Japanese, which have no
    spaces, it makes a token of each sentence, and BLEU is 0.

    Args:
        language: in any form that `language_code` reads; None = 13a.
    """
    return _OF_LANGUAGE.get(language_code(language or ""), "13a")


def check_tokenizer(tokenizer: str, setting: str = "tokenizer") -> None:
    """Checks that what a tokenizer needs is there; fetches the model of flores200.

    Args:
        setting: the name by which the user chooses it.

    Raises:
        InputError: it is not, and the message says what to install; or there is no such
            tokenizer.
    """
    from sacrebleu.metrics import BLEU

    if tokenizer not in get_args(SacrebleuTokenizer):
        known = ", ".join(get_args(SacrebleuTokenizer))
        raise InputError(f"{setting}={tokenizer} must be one of {known}.")
    try:
        BLEU(tokenize=tokenizer)
    # Of any type: sacreBLEU raises RuntimeError, AssertionError and URLError, and ends
    # the process where a certificate is refused.
    except (Exception, SystemExit) as error:
        chosen = f"{setting}={tokenizer}"
        if tokenizer in ("ja-mecab", "ko-mecab"):
            raise InputError(
                f"{chosen} needs packages that are missing: run `pip install "
                f"'sacrebleu[{tokenizer[:2]}]'`, or choose another, as char."
            ) from error
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{chosen} needs a model that sacreBLEU downloads into ~/.sacrebleu/models "
            f"($SACREBLEU/models), which failed ({reason}): put "
            "https://tinyurl.com/flores200sacrebleuspm there as flores200sacrebleuspm, "
            "or choose another, as char."
        ) from error
